//! Whether an answer that was given while a provider failed is true: it is the good answer, or it says where it is not.

use serde_json::Value;

use super::world::Answer;

/// Finds everything that an answer gets wrong without saying so, compared with the answer that was given when all was well.
pub(super) fn lies(good: &Value, given: &Answer, root: &str) -> Vec<String> {
    let mut lies: Vec<String> = given.errors.iter().filter_map(malformed).collect();
    let errors: Vec<Vec<String>> = given.errors.iter().map(|error| path_of(error, root)).collect();
    Comparison { errors, lies: &mut lies }.value(good, &given.data, &mut Vec::new());
    lies
}

/// An error that clients cannot act on.
fn malformed(error: &Value) -> Option<String> {
    let coded = error["extensions"]["code"].as_str().is_some_and(|code| code != "INTERNAL_SERVER_ERROR");
    let placed = error["path"].as_array().is_some_and(|path| path.len() > 1);
    (!coded || !placed).then(|| format!("an error without a code or a path: {error}"))
}

/// The path below the provider's root.
fn path_of(error: &Value, root: &str) -> Vec<String> {
    let steps = error["path"].as_array().into_iter().flatten();
    let steps = steps.map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned));
    let steps: Vec<String> = steps.collect();
    if steps.first().is_some_and(|first| first == root) { steps[1..].to_vec() } else { steps }
}

struct Comparison<'a> {
    errors: Vec<Vec<String>>,
    lies: &'a mut Vec<String>,
}

impl Comparison<'_> {
    /// Whether an error is at this place, or further down and has bubbled up to it.
    fn told(&self, path: &[String]) -> bool {
        self.errors.iter().any(|error| error.starts_with(path))
    }

    fn value(&mut self, good: &Value, given: &Value, path: &mut Vec<String>) {
        match (good, given) {
            _ if good == given => {}
            (Value::Object(good), Value::Object(given)) => {
                let is_page = good.contains_key("pageInfo");
                for (name, good) in good {
                    let Some(given) = given.get(name) else { continue };
                    // How many there are in all may not be known while only a part is.
                    let is_unknown_total = name == "totalCount" && given.is_null();
                    if is_unknown_total || (is_page && name == "nodes") {
                        continue;
                    }
                    path.push(name.clone());
                    self.value(good, given, path);
                    path.pop();
                }
                if is_page {
                    self.page(good, given, path);
                }
            }
            (Value::Array(good), Value::Array(given)) if good.len() == given.len() => {
                for (index, (good, given)) in good.iter().zip(given).enumerate() {
                    path.push(index.to_string());
                    self.value(good, given, path);
                    path.pop();
                }
            }
            (Value::Bool(false), Value::Bool(true)) if path.last().is_some_and(|name| name == "hasNextPage") => {}
            _ if self.told(path) => {}
            _ => self.lies.push(format!("{} is {} and should be {}", path.join("."), brief(given), brief(good))),
        }
    }

    /// A page: its items are the first of the good ones. Fewer than those need a mark.
    fn page(
        &mut self,
        good: &serde_json::Map<String, Value>,
        given: &serde_json::Map<String, Value>,
        path: &mut Vec<String>,
    ) {
        let items = |page: &serde_json::Map<String, Value>| page["nodes"].as_array().cloned().unwrap_or_default();
        let (good, shown) = (items(good), items(given));
        let goes_on = given["pageInfo"]["hasNextPage"] == Value::Bool(true);
        if shown.len() < good.len() && !goes_on && !self.told(path) {
            let missing = good.len() - shown.len();
            self.lies.push(format!("{} lacks {missing} items and says that it ends", path.join(".")));
        }
        path.push("nodes".to_owned());
        for (index, (good, shown)) in good.iter().zip(&shown).enumerate() {
            path.push(index.to_string());
            self.value(good, shown, path);
            path.pop();
        }
        path.pop();
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.len() > 120 { format!("{}…", text.chars().take(120).collect::<String>()) } else { text }
}
