//! Tests of the strict JSON parser.

use serde_json::Value;

use super::strict_json as strict;

#[test]
fn object_with_a_repeated_member_is_refused_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[{"b":1},{"c":1,"c":1}]}"#,
    ] {
        assert!(strict::object(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn object_with_distinct_members_is_parsed() {
    let text = r#"{"a":[1,-2,2.5,true,null,"x"],"b":{"a":{}},"c":18446744073709551615}"#;
    let expected: Value = serde_json::from_str(text).unwrap();
    assert_eq!(
        strict::object(text.as_bytes()).map(Value::Object),
        Some(expected)
    );
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(4000), "]".repeat(4000));
    assert!(strict::object(deep.as_bytes()).is_none());
}
