//! Fields that stand-ins add to a JSON object after its literal. A value that is no object takes none.

use serde_json::Value;

/// Sets one field of an object.
pub(crate) fn set(object: &mut Value, name: impl Into<String>, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        fields.insert(name.into(), value.into());
    }
}

/// Adds the fields of another object.
pub(crate) fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (object, more) {
        fields.extend(more);
    }
}
