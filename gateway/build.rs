//! Builds the GraphiQL console from `web/` and writes the table of its files that `http::console` embeds.
//!
//! - With Node and npm: `npm ci` and `npm run build` run in `mullion-web/` of cargo's target folder, never in the source
//!   tree. The result is kept there by a hash of its inputs, for all profiles: nothing runs again until `web/` changes,
//!   and a change of the sources alone does not install the packages again.
//! - Without Node, or when the build fails, a page that says so is embedded, and cargo prints a warning that says the same.
//! - `MULLION_SKIP_WEB=1` embeds that page without trying: for `cargo check`, clippy and scratch copies, which need no
//!   console.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The parts of `web/` that the console is built from; the rest (`dist/`, `node_modules/`) is somebody's own build.
const INPUTS: [&str; 5] = ["package.json", "package-lock.json", "build.mjs", "index.html", "src"];
/// Files that keep their name when their content changes, so that browsers must ask again.
const UNHASHED: [&str; 2] = ["index.html", "licenses.txt"];

/// With the bundler even where `NODE_ENV=production` is set, without the packages' own scripts, and quietly.
const INSTALL: [&str; 7] =
    ["ci", "--include=dev", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];

fn main() -> io::Result<()> {
    let out = set_by_cargo("OUT_DIR")?;
    // As it is now, and not when this was compiled: a build folder may have moved.
    let package = set_by_cargo("CARGO_MANIFEST_DIR")?;
    let web = package.join("../web");
    println!("cargo::rerun-if-env-changed=MULLION_SKIP_WEB");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/http/console_missing.html");
    for input in INPUTS {
        println!("cargo::rerun-if-changed={}", web.join(input).display());
    }
    let table = match built(&web, &out) {
        Ok(dist) => table_of(&dist, &out)?,
        Err(reason) => {
            // A failure is tried again when a tool may have come: the search path has changed.
            println!("cargo::rerun-if-env-changed=PATH");
            println!("cargo::warning=the binary gets a page without GraphiQL: {reason}");
            missing_page(&package, &out, &reason)?
        }
    };
    fs::write(out.join("console_assets.rs"), table)
}

/// A folder that cargo names to build scripts.
fn set_by_cargo(variable: &str) -> io::Result<PathBuf> {
    let folder = std::env::var_os(variable).ok_or_else(|| io::Error::other(format!("cargo sets {variable}")))?;
    Ok(PathBuf::from(folder))
}

/// The folder of the built console, from the cache or from npm; or why there is none, in one line.
fn built(web: &Path, out: &Path) -> Result<PathBuf, String> {
    if std::env::var_os("MULLION_SKIP_WEB").is_some_and(|value| value != "0" && !value.is_empty()) {
        return Err("MULLION_SKIP_WEB is set".to_owned());
    }
    // target/<profile>/build/<package>/out
    let cache = out.ancestors().nth(4).unwrap_or(out).join("mullion-web");
    let files = inputs(web).map_err(|error| format!("web/ cannot be read: {error}"))?;
    let dist = cache.join(format!("dist-{}", hash_of(files.iter())));
    // Two profiles may be built at the same time.
    let lock = fs::create_dir_all(&cache).and_then(|()| File::create(cache.join("lock")));
    let lock = lock.map_err(|error| format!("{} cannot be written: {error}", cache.display()))?;
    lock.lock().map_err(|error| error.to_string())?;
    if !dist.join("index.html").is_file() {
        npm_build(&files, &cache, &dist)?;
    }
    Ok(dist)
}

/// Copies the inputs to a folder whose packages fit their lock file, and lets npm build there.
fn npm_build(files: &[(PathBuf, Vec<u8>)], cache: &Path, dist: &Path) -> Result<(), String> {
    run(cache, "node", &["--version"])?;
    let packages =
        files.iter().filter(|(name, _)| name.starts_with("package.json") || name.starts_with("package-lock.json"));
    let place = cache.join(format!("npm-{}", hash_of(packages)));
    copy_inputs(files, &place).map_err(|error| format!("{} cannot be written: {error}", place.display()))?;
    let installed = place.join("installed");
    if !installed.is_file() {
        run(&place, "npm", &INSTALL)?;
        fs::write(&installed, "").map_err(|error| error.to_string())?;
    }
    // Under another name first: a build that was broken off must not look like a finished one.
    let unfinished = dist.with_extension("unfinished");
    run(&place, "npm", &["run", "--silent", "build", "--", "--outdir", &unfinished.to_string_lossy()])?;
    fs::rename(&unfinished, dist).map_err(|error| error.to_string())
}

/// Replaces what an earlier build left; the installed packages stay.
fn copy_inputs(files: &[(PathBuf, Vec<u8>)], place: &Path) -> io::Result<()> {
    match fs::remove_dir_all(place.join("src")) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for (name, content) in files {
        let to = place.join(name);
        fs::create_dir_all(to.parent().unwrap_or(place))?;
        fs::write(to, content)?;
    }
    Ok(())
}

/// Runs a tool; its last words are the reason when it fails.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    // npm is a script on Windows, which only the shell there finds.
    let mut command = if cfg!(windows) { Command::new("cmd") } else { Command::new(program) };
    if cfg!(windows) {
        command.args(["/C", program]);
    }
    let what = format!("{program} {}", arguments.first().unwrap_or(&""));
    let output = command.args(arguments).current_dir(folder).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("{program} was not found"),
        _ => format!("{what} could not be started: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rev().filter(|line| !line.trim().is_empty()).take(5).collect::<Vec<_>>();
    Err(format!("{what} failed ({}): {}", output.status, last.into_iter().rev().collect::<Vec<_>>().join(" | ")))
}

/// The input files by their path inside `web/`, in a fixed order.
fn inputs(web: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = INPUTS.iter().map(PathBuf::from).collect();
    while let Some(name) = open.pop() {
        let path = web.join(&name);
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(name.join(entry?.file_name()));
            }
        } else {
            let content = fs::read(&path)?;
            files.push((name, content));
        }
    }
    files.sort();
    Ok(files)
}

/// A name for the content, not a proof of it: another toolchain may hash otherwise, and then builds once more.
fn hash_of<T: Hash>(parts: impl Iterator<Item = T>) -> String {
    let mut hasher = DefaultHasher::new();
    parts.for_each(|part| part.hash(&mut hasher));
    format!("{:016x}", hasher.finish())
}

/// The Rust expression that lists the built files, each as its gzip.
fn table_of(dist: &Path, out: &Path) -> io::Result<String> {
    let mut names = fs::read_dir(dist)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| !name.to_ascii_lowercase().ends_with(".gz"));
    names.sort();
    let mut table = String::from("&[\n");
    for name in names {
        let content = fs::read(dist.join(format!("{name}.gz")))?;
        push_asset(&mut table, out, &name, &content, true)?;
    }
    table.push(']');
    Ok(table)
}

/// The table with nothing but the page that says why.
fn missing_page(package: &Path, out: &Path, reason: &str) -> io::Result<String> {
    let escaped = reason.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let template = fs::read_to_string(package.join("src/http/console_missing.html"))?;
    let mut table = String::from("&[\n");
    push_asset(&mut table, out, "index.html", template.replace("{{reason}}", &escaped).as_bytes(), false)?;
    table.push(']');
    Ok(table)
}

/// Puts the content into `OUT_DIR`, so that what is embedded does not hang on the cache, and its line into the table.
fn push_asset(table: &mut String, out: &Path, name: &str, content: &[u8], gzipped: bool) -> io::Result<()> {
    let folder = out.join("console");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), content)?;
    let hash = hash_of(std::iter::once(content));
    let immutable = !UNHASHED.contains(&name);
    let content_type = content_type(name);
    writeln!(
        table,
        "    Asset {{ path: {name:?}, content_type: {content_type:?}, etag: \"W/\\\"{hash}\\\"\", immutable: {immutable}, \
         gzipped: {gzipped}, bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/console/\", {name:?})) }},",
    )
    .map_err(io::Error::other)
}

fn content_type(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(OsStr::to_str) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        Some("txt") => "text/plain; charset=utf-8",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
