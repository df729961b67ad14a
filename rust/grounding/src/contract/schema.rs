//! The part of JSON Schema that a contract can ask for.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The form of a JSON value. Properties have an order, in which the decoder writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schema {
    /// An object with these properties and no others.
    Object {
        /// In the order of writing.
        properties: Vec<Property>,
    },
    /// A list of values of one form.
    Array {
        /// The form of each.
        items: Box<Schema>,
        /// At least so many.
        #[serde(default)]
        min_items: usize,
        /// At most so many.
        max_items: usize,
    },
    /// A text.
    String {
        /// At most so many characters.
        #[serde(default)]
        max_chars: Option<usize>,
        /// One of these, where there are any.
        #[serde(default)]
        one_of: Vec<String>,
    },
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
}

/// A property of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// The form of its value.
    pub schema: Schema,
    /// Whether an answer may leave it out; the decoder writes it all the same.
    #[serde(default)]
    pub optional: bool,
}

/// Schemas deeper than this are refused, so that no walk over one runs out of stack.
const MAX_DEPTH: usize = 16;

impl Schema {
    /// The same as a JSON Schema (draft 2020-12), for tools that take one.
    pub fn to_json_schema(&self) -> Value {
        match self {
            Self::Object { properties } => {
                let of = properties.iter().map(|p| (p.name.clone(), p.schema.to_json_schema())).collect();
                let required: Vec<&str> = properties.iter().filter(|p| !p.optional).map(|p| p.name.as_str()).collect();
                json!({
                    "type": "object",
                    "properties": Value::Object(of),
                    "required": required,
                    "additionalProperties": false
                })
            }
            Self::Array { items, min_items, max_items } => {
                json!({"type": "array", "items": items.to_json_schema(), "minItems": min_items, "maxItems": max_items})
            }
            Self::String { max_chars, one_of } => {
                let mut schema = json!({"type": "string"});
                if let Some(max) = max_chars {
                    schema["maxLength"] = json!(max);
                }
                if !one_of.is_empty() {
                    schema["enum"] = json!(one_of);
                }
                schema
            }
            Self::Number => json!({"type": "number"}),
            Self::Integer => json!({"type": "integer"}),
            Self::Boolean => json!({"type": "boolean"}),
        }
    }

    /// Whether a value has this form.
    pub fn admits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Object { properties }, Value::Object(object)) => {
                let known = object.keys().all(|key| properties.iter().any(|p| p.name == *key));
                let fits = |p: &Property| object.get(&p.name).map_or(p.optional, |value| p.schema.admits(value));
                known && properties.iter().all(fits)
            }
            (Self::Array { items, min_items, max_items }, Value::Array(list)) => {
                (*min_items..=*max_items).contains(&list.len()) && list.iter().all(|value| items.admits(value))
            }
            (Self::String { max_chars, one_of }, Value::String(text)) => {
                max_chars.is_none_or(|max| text.chars().count() <= max) && (one_of.is_empty() || one_of.contains(text))
            }
            (Self::Number, Value::Number(_)) | (Self::Boolean, Value::Bool(_)) => true,
            (Self::Integer, Value::Number(number)) => number.is_i64() || number.is_u64(),
            _ => false,
        }
    }

    /// Writes a value on one line, properties in order, a blank behind each colon and comma: the form that the decoder
    /// writes. Properties that the schema does not know are left out.
    pub(super) fn write(&self, value: &Value, into: &mut String) {
        match (self, value) {
            (Self::Object { properties }, Value::Object(object)) => {
                into.push('{');
                let mut first = true;
                for property in properties {
                    let Some(value) = object.get(&property.name) else { continue };
                    into.push_str(if first { "" } else { ", " });
                    first = false;
                    into.push_str(&format!("{}: ", Value::from(property.name.as_str())));
                    property.schema.write(value, into);
                }
                into.push('}');
            }
            (Self::Array { items, .. }, Value::Array(list)) => {
                into.push('[');
                for (n, value) in list.iter().enumerate() {
                    into.push_str(if n == 0 { "" } else { ", " });
                    items.write(value, into);
                }
                into.push(']');
            }
            _ => into.push_str(&value.to_string()),
        }
    }

    /// What is wrong with the schema itself.
    pub(super) fn fault(&self) -> Option<&'static str> {
        self.fault_below(0)
    }

    fn fault_below(&self, depth: usize) -> Option<&'static str> {
        if depth > MAX_DEPTH {
            return Some("its schema is too deep");
        }
        match self {
            Self::Object { properties } if properties.is_empty() => Some("its schema has an object without properties"),
            Self::Object { properties } => properties.iter().enumerate().find_map(|(n, property)| {
                if properties[..n].iter().any(|other| other.name == property.name) {
                    return Some("its schema has a property twice");
                }
                property.schema.fault_below(depth + 1)
            }),
            Self::Array { min_items, max_items, .. } if min_items > max_items || *max_items == 0 => {
                Some("its schema has a list of no possible length")
            }
            Self::Array { items, .. } => items.fault_below(depth + 1),
            _ => None,
        }
    }
}
