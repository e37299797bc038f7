//! `[sandbox]`: the stand-ins of the providers, in `dev` and `sandbox`.

use super::section::section;

section! {
    /// The stand-ins of the providers, in `dev` and `sandbox`.
    Sandbox in "sandbox" {
        /// Port of the stand-ins.
        port: u16 = 4001, 0..=65_535;
        /// Seed of their world.
        seed: u64 = 1, 0..;
    }
}
