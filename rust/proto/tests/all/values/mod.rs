//! Values of serde_json, made by our parsers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubbub_proto::socketio::json::Build;
use hubbub_proto::socketio::msgpack::BuildPacked;
use serde_json::{Value, json};

/// An attachment is the text `#num`; bytes and dates are as in the transcripts.
pub(crate) struct Values;

impl Build for Values {
    type Value = Value;
    type Object = serde_json::Map<String, Value>;
    type Key = String;

    fn null(&mut self) -> Value {
        Value::Null
    }

    fn bool(&mut self, is: bool) -> Value {
        is.into()
    }

    fn number(&mut self, number: &str, is_int: bool) -> Value {
        assert_eq!(is_int, !number.contains(['.', 'e', 'E']), "{number}");
        serde_json::from_str(number).expect("a number to both")
    }

    fn text(&mut self, text: &str) -> Value {
        text.into()
    }

    fn array(&mut self, elements: impl ExactSizeIterator<Item = Value>) -> Value {
        elements.collect()
    }

    fn object(&mut self) -> Self::Object {
        Self::Object::new()
    }

    fn key(&mut self, key: &str) -> String {
        key.to_owned()
    }

    fn member(&mut self, object: &mut Self::Object, key: String, value: Value) {
        object.insert(key, value);
    }

    fn end(&mut self, object: Self::Object) -> Value {
        object.into()
    }

    fn placeholder(&mut self, object: Self::Object, num: u32) -> Value {
        assert_eq!(Value::from(object), json!({"_placeholder": true, "num": num}));
        format!("#{num}").into()
    }
}

impl BuildPacked for Values {
    fn int(&mut self, number: i64) -> Value {
        number.into()
    }

    fn large(&mut self, number: u64) -> Value {
        assert!(i64::try_from(number).is_err(), "{number}");
        number.into()
    }

    fn float(&mut self, number: f64) -> Value {
        if number.is_finite() { number.into() } else { number.to_string().into() }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Value {
        json!({"$bytes": STANDARD.encode(bytes)})
    }

    fn date(&mut self, seconds: i64, microseconds: u32) -> Value {
        let (milliseconds, rest) = (seconds * 1000 + i64::from(microseconds / 1000), microseconds % 1000);
        if rest == 0 { json!({"$date": milliseconds}) } else { json!({"$date": milliseconds, "us": rest}) }
    }
}
