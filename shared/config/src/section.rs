//! The macro `section!`, which declares each field of a section's struct together with its key.

/// Declares the struct of a section. To add a key, add a field:
///
/// ```ignore
/// /// What the key is for; this text is also its documentation in docs/run/configuration.md.
/// pub name_of_field: Duration = key("section.name_of_key", Kind::Duration(1)).default("30s"),
/// ```
///
/// The type of the field decides how the value is read and printed (`value.rs`); a key that may
/// stay unset needs an `Option`. A field that is a section has `Struct::SECTION` in place of the
/// key; as an `Option`, the section is set if its first key is set.
macro_rules! section {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[doc = $doc:literal])+ $field_visibility:vis $field:ident: $type:ty = $key:expr,)+
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[doc = $doc])+ $field_visibility $field: $type,)+
        }

        impl $name {
            /// The section's rows of the table of keys: one for each field, in their order.
            pub(crate) const SECTION: Key = key("", Kind::Section(&[$($key.documented(concat!($($doc),+))),+]));
        }

        impl Setting for $name {
            fn read(reader: &mut Reader, section: &'static Key) -> Self {
                let [$($field),+] = section.keys() else { unreachable!("a section has a key for each field") };
                Self { $($field: Setting::read(reader, $field)),+ }
            }

            fn show(&self, section: &'static Key, shown: &mut Vec<Shown>) {
                let [$($field),+] = section.keys() else { unreachable!("a section has a key for each field") };
                $(self.$field.show($field, shown);)+
            }
        }

        impl Setting for Option<$name> {
            fn read(reader: &mut Reader, section: &'static Key) -> Self {
                // Read in any case: a value that does not fit is a finding even if the section is
                // not used.
                let read = Setting::read(reader, section);
                reader.is_set(section.keys()[0].path).then_some(read)
            }

            fn show(&self, section: &'static Key, shown: &mut Vec<Shown>) {
                match self {
                    Some(set) => set.show(section, shown),
                    None => shown.extend(section.leaves().into_iter().map(|key| (key, None))),
                }
            }
        }
    };
}
