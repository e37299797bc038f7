//! What makes a section of the configuration: a struct with its defaults, and the same options as a table.

/// An option, for `--help` and the README.
#[derive(Debug, Clone, Copy)]
pub struct OptionDoc {
    /// Name in the file.
    pub name: &'static str,
    /// What it is for.
    pub help: &'static [&'static str],
}

/// A section: one table of the file.
#[derive(Debug, Clone)]
pub struct SectionDoc {
    /// Name of the table.
    pub name: &'static str,
    /// Its options.
    pub options: &'static [OptionDoc],
    /// Its default values; what has none is missing.
    pub defaults: toml::Table,
}

/// Declares a section once: the struct with serde, the defaults, and the documentation of each option.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident in $table:literal {
            $( $(#[doc = $help:literal])+ $option:ident: $type:ty = $default:expr; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $help])+
                #[serde(skip_serializing_if = "crate::config::section::is_unset")]
                pub $option: $type,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($option: $default),+ }
            }
        }

        impl $name {
            /// The section's options.
            pub(crate) fn describe() -> crate::config::section::SectionDoc {
                crate::config::section::SectionDoc {
                    name: $table,
                    options: &[$(crate::config::section::OptionDoc {
                        name: stringify!($option),
                        help: &[$($help),+],
                    }),+],
                    defaults: toml::Table::try_from(Self::default()).unwrap_or_default(),
                }
            }
        }
    };
}
pub(crate) use section;

/// Options without a value are left out of the table of defaults.
pub(crate) fn is_unset<T: serde::Serialize>(value: &T) -> bool {
    toml::Value::try_from(value).is_err()
}
