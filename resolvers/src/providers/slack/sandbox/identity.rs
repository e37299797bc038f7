//! The fixed ids and names of the sandboxed workspace and of the app in it.

/// The workspace.
pub(super) const TEAM_ID: &str = "T0ACME0001";
pub(super) const TEAM_NAME: &str = "Acme";
pub(super) const TEAM_DOMAIN: &str = "acme";
/// Our app in it: its id, its bot, and the bot's user. Every token of the sandbox is this bot's.
pub(super) const APP_ID: &str = "A0MULLION1";
pub(super) const BOT_ID: &str = "B0MULLION1";
pub(super) const BOT_USER: &str = "U0MULLION1";
/// Slack's own user, who is in every workspace.
pub(super) const SLACKBOT: &str = "USLACKBOT";
