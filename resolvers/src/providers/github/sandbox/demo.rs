//! The parts of the seeded world that a development dashboard shows.

use super::GithubSandbox;

impl GithubSandbox {
    /// Node ids of these repositories of `acme`, in this order; those that are not in the world are left out.
    pub fn repository_ids(&self, names: &[&str]) -> Vec<String> {
        let world = std::sync::Arc::clone(&self.state.lock().world);
        let repository = |name: &&str| Some(world.repos.get(world.repo_named("acme", name)?)?.node_id());
        names.iter().filter_map(repository).collect()
    }
}
