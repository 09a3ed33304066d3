//! Objects and dictionaries as programs use them.

use crate::property::Ports;
use xpc::{Dictionary, Endpoint, Object, XpcError};

/// Returns a dictionary with an object of each kind.
pub(crate) fn all_kinds(ports: &Ports) -> Dictionary {
    let mut d = Dictionary::new();
    d.set("null", Object::Null);
    d.set_bool("bool", true);
    d.set_int64("int64", -7);
    d.set_uint64("uint64", u64::MAX);
    d.set_double("double", 1.0);
    d.set_date("date", -1_000_000_000);
    d.set_data("data", &[0, 1, 0xFE]);
    d.set_string("string", "a \"b\"\n");
    d.set_uuid("uuid", std::array::from_fn(|index| index as u8));
    d.set_array("array", vec![Object::from(1_i64), Object::from(vec![Object::from("x")])]);
    d.set_dictionary("dictionary", Dictionary::from_iter([("k", Dictionary::new())]));
    d.set_endpoint("endpoint", Endpoint::new(ports.right(0x503)));
    d.set_mach_send("mach send", ports.right(0x603));
    d.set_error("error", XpcError::Interrupted);
    d
}

#[test]
fn each_kind_is_got_as_it_was_set() {
    let ports = Ports::default();
    let d = all_kinds(&ports);
    assert_eq!(d.len(), 14);
    assert_eq!(d.get("null"), Some(&Object::Null));
    assert_eq!(d.get_bool("bool"), Some(true));
    assert_eq!(d.get_int64("int64"), Some(-7));
    assert_eq!(d.get_uint64("uint64"), Some(u64::MAX));
    assert_eq!(d.get_double("double"), Some(1.0));
    assert_eq!(d.get_date("date"), Some(-1_000_000_000));
    assert_eq!(d.get_data("data"), Some(&[0, 1, 0xFE][..]));
    assert_eq!(d.get_string("string"), Some("a \"b\"\n"));
    assert_eq!(d.get_uuid("uuid"), Some(&std::array::from_fn(|index| index as u8)));
    assert_eq!(d.get_array("array"), Some(&[Object::from(1_i64), Object::from(vec![Object::from("x")])][..]));
    assert_eq!(d.get_dictionary("dictionary").and_then(|d| d.get_dictionary("k")), Some(&Dictionary::new()));
    assert_eq!(d.get_endpoint("endpoint").map(|endpoint| endpoint.right().name().0), Some(0x503));
    assert_eq!(d.get_mach_send("mach send").map(|right| right.name().0), Some(0x603));
    assert_eq!(d.get_error("error"), Some(XpcError::Interrupted));
}

#[test]
fn an_object_of_another_kind_is_not_converted() {
    let d = all_kinds(&Ports::default());
    assert_eq!((d.get_int64("uint64"), d.get_uint64("int64"), d.get_int64("date")), (None, None, None));
    assert_eq!((d.get_date("int64"), d.get_double("int64"), d.get_bool("null")), (None, None, None));
    assert_eq!((d.get_string("data"), d.get_data("string"), d.get_data("uuid")), (None, None, None));
    assert_eq!((d.get_mach_send("endpoint"), d.get_endpoint("mach send")), (None, None));
    assert_eq!((d.get_array("dictionary"), d.get_dictionary("array"), d.get_error("nothing")), (None, None, None));
    assert_ne!(Object::from(1_i64), Object::from(1_u64));
    assert_ne!(Object::Date(1), Object::Int64(1));
}

#[test]
fn a_key_has_one_object() {
    let mut d = Dictionary::new();
    assert!(d.is_empty());
    assert_eq!(d.set("k", 1_i64), None);
    assert_eq!(d.set("k", "two"), Some(Object::Int64(1)));
    assert_eq!((d.len(), d.is_empty()), (1, false));
    *d.get_mut("k").expect("it was set") = Object::Null;
    assert_eq!(d.remove("k"), Some(Object::Null));
    assert_eq!(d.remove("k"), None);
    assert_eq!(d.get_mut("k"), None);
    assert_eq!((d.get("k"), d.len()), (None, 0));
}

#[test]
fn the_order_of_setting_does_not_matter() {
    let keys = ["b", "a", "", "ab", "é", "z"];
    let forth = Dictionary::from_iter(keys.map(|key| (key, key)));
    let back = Dictionary::from_iter(keys.into_iter().rev().map(|key| (key, key)));
    assert_eq!(forth, back);
    assert!(forth.iter().map(|(key, _)| key).eq(["", "a", "ab", "b", "z", "é"]));
    assert!(forth.iter().all(|(key, value)| value.as_string() == Some(key)));
}

#[test]
fn the_last_owner_of_a_right_gives_it_back() {
    let ports = Ports::default();
    let d = all_kinds(&ports);
    assert_eq!(ports.live(), 2);
    let (copy, endpoint) = (d.clone(), d.get_endpoint("endpoint").cloned());
    assert_eq!(copy, d);
    drop((d, copy));
    assert_eq!(ports.live(), 1);
    drop(endpoint);
    assert_eq!(ports.live(), 0);
}

#[test]
fn rights_are_equal_if_their_names_are() {
    let ports = Ports::default();
    assert_eq!(ports.right(0x103), ports.right(0x103));
    assert_ne!(ports.right(0x103), ports.right(0x203));
    assert_ne!(Endpoint::new(ports.right(0x103)), Endpoint::new(ports.right(0x203)));
}

#[test]
fn a_description_shows_everything_that_people_want_to_know() {
    let mut d = all_kinds(&Ports::default());
    d.set_data("long", &[0xAB; 33]);
    d.set_data("full", &[0xAB; 32]);
    let long = "ab".repeat(32);
    let expected = format!(
        r#"<dictionary> {{ count = 16, contents =
    "array" => <array> {{ count = 2, contents =
        0: <int64> 1
        1: <array> {{ count = 1, contents =
            0: <string> {{ length = 1, contents = "x" }}
        }}
    }}
    "bool" => <bool> true
    "data" => <data> {{ length = 3, contents = 0x0001fe }}
    "date" => <date> -1000000000 ns
    "dictionary" => <dictionary> {{ count = 1, contents =
        "k" => <dictionary> {{ count = 0, contents =
        }}
    }}
    "double" => <double> 1.0
    "endpoint" => <endpoint> {{ name = 0x503 }}
    "error" => <error> Connection interrupted
    "full" => <data> {{ length = 32, contents = 0x{long} }}
    "int64" => <int64> -7
    "long" => <data> {{ length = 33, contents = 0x{long}... }}
    "mach send" => <mach send right> {{ name = 0x603 }}
    "null" => <null>
    "string" => <string> {{ length = 6, contents = "a \"b\"\n" }}
    "uint64" => <uint64> 18446744073709551615
    "uuid" => <uuid> 00010203-0405-0607-0809-0a0b0c0d0e0f
}}"#
    );
    assert_eq!(format!("{d:?}"), expected);
    assert_eq!(format!("{:?}", Object::from(d)), expected);
}

#[test]
fn errors_have_texts() {
    let texts = XpcError::ALL.map(|error| error.to_string());
    assert_eq!(texts, ["Connection interrupted", "Connection invalid", "Termination imminent"]);
}
