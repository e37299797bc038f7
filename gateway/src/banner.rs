//! The message of `dev` when it is ready: where things are, and three things to try.

use std::path::Path;

use mullion_resolvers::provider::Providers;

use crate::terminal;

/// The facts in the message.
pub(crate) struct Facts<'a> {
    /// Port of the graph.
    pub(crate) port: u16,
    /// Port of the stand-ins.
    pub(crate) sandbox_port: u16,
    /// The providers of this build.
    pub(crate) providers: &'a Providers,
    /// The data folder.
    pub(crate) data: &'a Path,
}

/// Says where things are.
pub(crate) fn print(facts: &Facts<'_>) {
    let Facts { port, sandbox_port, .. } = facts;
    let webhooks = facts.providers.keys().fold(String::new(), |text, key| {
        text + &format!(
            "
  Webhooks  http://localhost:{port}/webhooks/{key}/{key}-dev"
        )
    });
    terminal::announce(&format!(
        "\nMullion is ready.\n\n  GraphiQL  http://localhost:{port}/\n  GraphQL   http://localhost:{port}/graphql   \
        (WebSocket at the same address, event streams at /graphql/stream){webhooks}\n  \
        Sandbox   http://localhost:{sandbox_port}/_sandbox\n  Data      {}\n\n\
        Try:\n  1. Open GraphiQL and run the first tab: a whole dashboard over all providers in one query.\n  \
        2. Run the tab DashboardLive, then make something happen:\n     \
        curl -X POST http://localhost:{sandbox_port}/_sandbox/github/open_issue -H 'content-type: application/json' -d '{{\"title\":\"Hello\"}}'\n  \
        3. curl http://localhost:{port}/graphql -H 'content-type: application/json' \\\n       \
        -d '{{\"query\":\"{{ dashboard(slug: \\\"team\\\") {{ widgets {{ title state }} }} }}\"}}'\n",
        facts.data.display()
    ));
}

/// Says where the stand-ins are.
pub(crate) fn print_sandbox(port: u16, providers: &Providers) {
    let keys: Vec<&str> = providers.keys().copied().collect();
    terminal::announce(&format!(
        "\nThe stand-ins of {} are ready at http://localhost:{port}/_sandbox\n",
        keys.join(", ")
    ));
}
