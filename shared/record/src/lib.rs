//! A record as text: its fields and the rules for them, its identity, and what is derived from its text before it is stored.
//!
//! Nothing here waits, connects or reads a file. [`source`] declares and checks a record, [`secrets`] redacts credentials in it,
//! [`passage`] splits its text for the embedding model, [`words`] into terms for keyword search, and [`labels`] turns its fields into
//! the terms of filters.

/// Gives enums their names, which strum derives.
macro_rules! named {
    ($($named:ty),*) => {
        $(impl $named {
            /// The name: in the configuration, the database, JSON and metrics.
            pub fn as_str(self) -> &'static str {
                self.into()
            }

            /// The one with this name.
            pub fn parse(name: &str) -> Option<Self> {
                name.parse().ok()
            }
        })*
    };
}
pub(crate) use named;

pub mod filter;
pub mod hash;
pub mod identity;
pub mod labels;
pub mod model;
pub mod passage;
pub mod prepared;
pub mod rights;
pub mod secret;
pub mod secrets;
pub mod source;
pub mod time;
pub mod visible;
pub mod words;
