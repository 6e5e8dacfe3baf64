//! Enumerations the Gateway API may extend: an unknown value is kept as written and becomes a condition later, never a failed
//! read.
//!
//! In: a string of a manifest. Out: a named variant, or `Other` with the text. Equality of two `Other`s is equality of their
//! texts, and a known text never becomes an `Other`.

/// Declares an enumeration with one variant for each known text and `Other` for the rest.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
        #[serde(from = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A value this version of the API does not name, as written.
            Other(String),
        }

        impl $name {
            /// The texts that have a variant of their own.
            pub const KNOWN: &[&str] = &[$($text),+];

            /// The text as manifests write it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)+
                    _ => Self::Other(text),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use open_enum;
