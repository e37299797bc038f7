//! A repository and its branches in GitHub's REST form.

use serde_json::Value;

use super::{WEB, actor, extend, organization, shape};
use crate::providers::github::sandbox::world::{World, model::Repo};

/// Its address in the API.
pub(crate) fn url(world: &World, repo: &Repo) -> String {
    format!("{}/repos/{}", world.api_root, repo.full_name(world))
}

/// Its address on the web.
pub(crate) fn page(world: &World, repo: &Repo) -> String {
    format!("{WEB}/{}", repo.full_name(world))
}

/// Addresses in the order in which GitHub gives them: key, what follows the repository's own address.
const ADDRESSES: [(&str, &str); 38] = [
    ("forks_url", "/forks"),
    ("keys_url", "/keys{/key_id}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("teams_url", "/teams"),
    ("hooks_url", "/hooks"),
    ("issue_events_url", "/issues/events{/number}"),
    ("events_url", "/events"),
    ("assignees_url", "/assignees{/user}"),
    ("branches_url", "/branches{/branch}"),
    ("tags_url", "/tags"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("trees_url", "/git/trees{/sha}"),
    ("statuses_url", "/statuses/{sha}"),
    ("languages_url", "/languages"),
    ("stargazers_url", "/stargazers"),
    ("contributors_url", "/contributors"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("commits_url", "/commits{/sha}"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("comments_url", "/comments{/number}"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("contents_url", "/contents/{+path}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("merges_url", "/merges"),
    ("archive_url", "/{archive_format}{/ref}"),
    ("downloads_url", "/downloads"),
    ("issues_url", "/issues{/number}"),
    ("pulls_url", "/pulls{/number}"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("labels_url", "/labels{/name}"),
    ("releases_url", "/releases{/id}"),
    ("deployments_url", "/deployments"),
    ("code_scanning_url", "/code-scanning/alerts"),
    ("dependabot_url", "/dependabot/alerts"),
];

/// The short form, as workflow runs carry it.
pub(crate) fn minimal(world: &World, repo: &Repo) -> Value {
    let url = url(world, repo);
    let mut object = shape! {
        "id": repo.id,
        "node_id": repo.node_id(),
        "name": repo.name,
        "full_name": repo.full_name(world),
        "private": repo.private,
        "owner": actor(world, repo.owner),
        "html_url": page(world, repo),
        "description": repo.description,
        "fork": false,
        "url": url,
    };
    for (key, suffix) in ADDRESSES.iter().take(36) {
        extend(
            &mut object,
            Value::Object([((*key).to_owned(), format!("{url}{suffix}").into())].into_iter().collect()),
        );
    }
    object
}

/// As lists and payloads carry it.
pub(crate) fn repository(world: &World, repo: &Repo) -> Value {
    let page = page(world, repo);
    let open = repo.items.values().filter(|item| item.is_open()).count();
    let mut object = minimal(world, repo);
    extend(
        &mut object,
        shape! {
            "created_at": repo.created,
            "updated_at": repo.updated,
            "pushed_at": repo.pushed,
            "git_url": format!("git://github.com/{}.git", repo.full_name(world)),
            "ssh_url": format!("git@github.com:{}.git", repo.full_name(world)),
            "clone_url": format!("{page}.git"),
            "svn_url": page,
            "homepage": Value::Null,
            "size": 4096,
            "stargazers_count": repo.stargazers,
            "watchers_count": repo.stargazers,
            "language": repo.language,
            "has_issues": true,
            "has_projects": true,
            "has_downloads": true,
            "has_wiki": false,
            "has_pages": false,
            "has_discussions": false,
            "forks_count": repo.forks,
            "mirror_url": Value::Null,
            "archived": repo.archived,
            "disabled": false,
            "open_issues_count": open,
            "license": Value::Null,
            "allow_forking": true,
            "is_template": false,
            "web_commit_signoff_required": false,
            "topics": repo.topics,
            "visibility": if repo.private { "private" } else { "public" },
            "forks": repo.forks,
            "open_issues": open,
            "watchers": repo.stargazers,
            "default_branch": "main",
            "custom_properties": shape! {},
        },
    );
    object
}

/// As `/repos/{owner}/{repo}` gives it.
pub(crate) fn whole(world: &World, repo: &Repo) -> Value {
    let mut object = repository(world, repo);
    extend(
        &mut object,
        shape! {
            "permissions": shape! { "admin": true, "maintain": true, "push": true, "triage": true, "pull": true },
            "allow_squash_merge": true,
            "allow_merge_commit": true,
            "allow_rebase_merge": true,
            "allow_auto_merge": false,
            "delete_branch_on_merge": true,
            "organization": organization(world, false),
            "network_count": repo.forks,
            "subscribers_count": 14,
        },
    );
    object
}

/// As `push` payloads carry it: some times are numbers there.
pub(crate) fn pushed(world: &World, repo: &Repo) -> Value {
    let mut object = repository(world, repo);
    extend(
        &mut object,
        shape! {
            "created_at": repo.created.timestamp(),
            "pushed_at": repo.pushed.timestamp(),
            "stargazers": repo.stargazers,
            "master_branch": "main",
            "organization": world.actor(repo.owner).login,
        },
    );
    object
}

pub(crate) fn branch(world: &World, repo: &Repo, name: &str, oid: &str) -> Value {
    shape! {
        "name": name,
        "commit": shape! { "sha": oid, "url": format!("{}/commits/{oid}", url(world, repo)) },
        "protected": repo.protected && name == "main",
    }
}
