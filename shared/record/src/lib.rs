//! Records as text: the fields of a record and the rules for them, its identity, and the data
//! derived from its text before it is stored.
//!
//! This crate does no I/O. [`source`] declares and checks a record, [`secrets`] redacts credentials
//! in it, [`passage`] splits its text for the embedding model, [`words`] turns it into terms for
//! keyword search, and [`labels`] turns its fields into terms for filters.

/// Adds `as_str` and `parse` to enums whose names strum derives.
macro_rules! named {
    ($($named:ty),*) => {
        $(impl $named {
            /// Returns the name that the configuration, the database, JSON and metrics use.
            pub fn as_str(self) -> &'static str {
                self.into()
            }

            /// Returns the variant with this name.
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
pub mod lenient;
pub mod model;
pub mod passage;
pub mod prepared;
pub mod rights;
pub mod secret;
pub mod secrets;
pub mod sentences;
pub mod snippet;
pub mod source;
pub mod time;
pub mod visible;
pub mod words;
