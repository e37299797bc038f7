//! The macro that makes a section of the configuration: a struct with its defaults, and the same options as a table.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::{RangeFrom, RangeInclusive},
    path::PathBuf,
};

use super::secret::SecretSetting;

/// The numbers that an option may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The least.
    least: u64,
    /// The greatest; `None` where any will do.
    most: Option<u64>,
}

impl Range {
    /// Whether the number is one of them.
    pub(crate) fn contains(self, number: i64) -> bool {
        u64::try_from(number).is_ok_and(|number| number >= self.least && self.most.is_none_or(|most| number <= most))
    }
}

impl From<RangeInclusive<u64>> for Range {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self { least: *range.start(), most: Some(*range.end()) }
    }
}

impl From<RangeFrom<u64>> for Range {
    fn from(range: RangeFrom<u64>) -> Self {
        Self { least: range.start, most: None }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.most {
            Some(most) => write!(f, "{} to {most}", self.least),
            None => write!(f, "at least {}", self.least),
        }
    }
}

/// An option, for `--help` and the guide.
#[derive(Debug, Clone, Copy)]
pub struct OptionDoc {
    /// Name in the file.
    pub name: &'static str,
    /// Its description, in lines.
    pub help: &'static [&'static str],
    /// The numbers that it may have; `None` where it is no number.
    pub range: Option<Range>,
}

/// A section: one table of the file.
#[derive(Debug, Clone)]
pub struct SectionDoc {
    /// Name of the table.
    pub name: &'static str,
    /// Its options.
    pub options: Vec<OptionDoc>,
    /// Its default values; what has none is missing.
    pub defaults: toml::Table,
}

/// A type that an option may have.
pub trait Setting {
    /// A value as the file would have it, for the documentation of defaults; `None`: there is none, or it is a secret.
    fn shown(&self) -> Option<toml::Value>;
}

/// Settings whose values are shown as they are.
macro_rules! shown {
    ($($type:ty),+) => {
        $(impl Setting for $type {
            fn shown(&self) -> Option<toml::Value> {
                toml::Value::try_from(self).ok()
            }
        })+
    };
}

shown!(
    bool,
    u16,
    u32,
    u64,
    usize,
    f64,
    String,
    PathBuf,
    IpAddr,
    SocketAddr,
    Vec<String>,
    super::telemetry::LogFormat,
    super::server::Audience
);

impl<T: Setting> Setting for Option<T> {
    fn shown(&self) -> Option<toml::Value> {
        self.as_ref()?.shown()
    }
}

impl Setting for SecretSetting {
    fn shown(&self) -> Option<toml::Value> {
        None
    }
}

/// Declares a section once: the struct with serde, the defaults, the ranges of its numbers, and the documentation of each option.
///
/// `port: u16 = 4000, 0..=65_535;` is an option with its type, its default and its range.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident in $table:literal {
            $( $(#[doc = $help:literal])+ $option:ident: $type:ty = $default:expr $(, $range:expr)?; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $help])+
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
                let shown = Self::default().shown();
                crate::config::section::SectionDoc {
                    name: $table,
                    options: vec![$(crate::config::section::OptionDoc {
                        name: stringify!($option),
                        help: &[$($help),+],
                        range: crate::config::section::range!($($range)?),
                    }),+],
                    defaults: shown.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
                }
            }

            /// The options that differ.
            pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$option != other.$option {
                    names.push(concat!($table, ".", stringify!($option)));
                })+
                names
            }

            /// Each option with its value, as far as that may be shown.
            fn shown(&self) -> Vec<(&'static str, Option<toml::Value>)> {
                use crate::config::section::Setting as _;
                vec![$((stringify!($option), self.$option.shown())),+]
            }
        }
    };
}

/// An option's range, if it has one.
macro_rules! range {
    () => {
        None
    };
    ($range:expr) => {
        Some(crate::config::section::Range::from($range))
    };
}

pub(crate) use {range, section};
