//! The declaration of a section: each field of its struct is declared together with its key.

/// Declares the struct of a section. To add a key, add a field:
///
/// ```ignore
/// /// What the key is for; this text is also its documentation in docs/configuration.md.
/// pub name_of_field: Duration = key("section.name_of_key", Kind::Duration(1)).default("30s"),
/// ```
///
/// The field's type says how the value is read and printed (`value.rs`): it is an `Option` where a key without a default may
/// stay unset. A field that is itself a section has `Struct::SECTION` in the place of the key; as an `Option`, it is set when
/// its first key is.
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
            /// The section's part of the table of keys: one row for each field, in their order.
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
                // Read in any case: a wrong value is a finding even while the section is not used.
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
