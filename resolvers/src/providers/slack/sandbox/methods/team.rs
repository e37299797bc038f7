//! The workspace itself: `auth.test`, `team.info`, `emoji.list`, `bots.info`.

use serde_json::{Value, json};

use super::super::{
    identity::{APP_ID, BOT_ID, BOT_USER, TEAM_DOMAIN, TEAM_ID, TEAM_NAME},
    model::World,
    render,
    request::{Answer, Args},
};

pub(super) fn auth_test(world: &World) -> Value {
    let name = world.user(BOT_USER).map(|user| user.name.as_str());
    json!({
        "url": format!("https://{TEAM_DOMAIN}.slack.com/"),
        "team": TEAM_NAME,
        "user": name,
        "team_id": TEAM_ID,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "is_enterprise_install": false,
    })
}

pub(super) fn info(world: &World) -> Value {
    let image = |size: u32| format!("{}/avatars/{TEAM_ID}_{size}.svg", world.api_root);
    json!({ "team": {
        "id": TEAM_ID,
        "name": TEAM_NAME,
        "url": format!("https://{TEAM_DOMAIN}.slack.com/"),
        "domain": TEAM_DOMAIN,
        "email_domain": "acme.example",
        "icon": {
            "image_default": false,
            "image_34": image(34),
            "image_44": image(44),
            "image_68": image(68),
            "image_88": image(88),
            "image_102": image(102),
            "image_132": image(132),
            "image_230": image(230),
        },
        "avatar_base_url": format!("{}/avatars/", world.api_root),
        "is_verified": false,
        "lob_sales_home_enabled": false,
    } })
}

pub(super) fn emoji(world: &World) -> Value {
    let image = |name: &str| format!("{}/avatars/emoji-{name}_64.svg", world.api_root);
    let emoji = json!({ "party-parrot": image("party-parrot"), "acme": image("acme"), "shipit": "alias:acme" });
    json!({ "emoji": emoji, "cache_ts": format!("{}.000000", world.base.timestamp()) })
}

pub(super) fn bot_info(world: &World, args: &Args) -> Answer {
    let wanted = args.get("bot").unwrap_or(BOT_ID);
    let found = world.users.iter().find(|user| user.bot_id.as_deref() == Some(wanted)).ok_or("bot_not_found")?;
    Ok(json!({ "bot": render::bot(world, found, wanted) }))
}
