//! `[security]`: what seals tokens at rest.

use super::{secret::SecretSetting, section::section};

section! {
    /// The key that seals tokens at rest.
    Security in "security" {
        /// 32 bytes in base64, made by `mullion key generate`; `dev` keeps its own. Better set as `MULLION_ENCRYPTION_KEY` than in a file.
        encryption_key: Option<SecretSetting> = None;
    }
}
