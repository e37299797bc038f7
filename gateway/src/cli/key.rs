//! `mullion key`

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{
    Args, Subcommand,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use mullion_schema::ports::Role;

use super::Source;
use crate::{boot, data_folder::new_encryption_key};

/// Makes, lists and revokes API keys.
#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an API key, and its tenant if it is new; the key is shown only this once
    #[command(after_help = "Example:\n  mullion key create --tenant acme --name wall-display --role viewer")]
    Create {
        #[command(flatten)]
        source: Source,
        /// The tenant's name
        #[arg(long)]
        tenant: String,
        /// The purpose of the key
        #[arg(long)]
        name: String,
        /// The role of its holder
        #[arg(long, value_parser = roles())]
        role: Role,
    },
    /// List API keys, without the keys themselves
    List {
        #[command(flatten)]
        source: Source,
        /// Only this tenant's
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Revoke an API key; its sockets are closed
    #[command(after_help = "Example:\n  mullion key revoke 01J9ZQ…   (the id that `mullion key list` shows)")]
    Revoke {
        #[command(flatten)]
        source: Source,
        /// The key's id
        id: String,
    },
    /// Print a new encryption key for `MULLION_ENCRYPTION_KEY`
    #[command(after_help = "Example:\n  export MULLION_ENCRYPTION_KEY=$(mullion key generate)")]
    Generate,
}

/// The roles, each with what it allows.
fn roles() -> impl TypedValueParser<Value = Role> {
    let roles = [
        PossibleValue::new("viewer").help("Reads"),
        PossibleValue::new("editor").help("Reads, and changes dashboards"),
        PossibleValue::new("admin").help("Everything, integrations too"),
    ];
    PossibleValuesParser::new(roles).try_map(|role| role.parse::<Role>())
}

impl Key {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Create { source, tenant, name, role } => {
                let key = boot::key_create(&source.load()?, &tenant, &name, role).await?;
                crate::terminal::print(&key);
                crate::terminal::note(
                    "This is the key: it is shown only this once. Keep it safe; `mullion key list` shows its beginning.",
                );
            }
            Command::List { source, tenant } => {
                for line in boot::key_list(&source.load()?, tenant.as_deref()).await? {
                    crate::terminal::print(&line);
                }
            }
            Command::Revoke { source, id } => {
                boot::key_revoke(&source.load()?, &id).await?;
                crate::terminal::print("revoked");
            }
            Command::Generate => crate::terminal::print(&STANDARD.encode(new_encryption_key()?)),
        }
        Ok(())
    }
}
