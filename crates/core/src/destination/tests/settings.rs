//! Settings: types, defaults, what an instance must give, secrets.

use super::*;

const SPECS: &str = "settings:
  text:    { type: string, default: t }
  flag:    { type: boolean, default: false }
  number:  { type: integer, default: 7 }
  list:    { type: list, default: [a] }
  map:     { type: map, default: { k: v } }
  needed:  { type: string, required: true, about: What is needed. }
  secret:  { type: string, default: hush, secret: true }
";

/// Reads settings and says their values, redacted, and what is wrong with them.
fn read(settings: &str) -> String {
    let definition = parse(&format!("{SPECS}{}", of_body("1"))).unwrap();
    let mut diagnostics = Diagnostics::new("c.yaml");
    let node = yaml::parse(settings, &mut diagnostics);
    let settings = definition.read_settings(
        node.as_ref(),
        Place {
            source: 0,
            line: 9,
            column: 1,
            length: 1,
        },
        &mut diagnostics,
    );
    let faults = lines(&diagnostics.into_sorted());
    if faults.is_empty() {
        format!("{settings:?}")
    } else {
        faults
    }
}

#[test]
fn values_have_their_types_or_defaults() {
    assert_eq!(
        read("{ needed: n, text: 1, flag: true, number: -3, list: [x, 2], map: { a: 1, b: x } }"),
        r#"{"text": String("1"), "flag": Boolean(true), "number": Integer(-3), "list": List(["x", "2"]), "map": Map([("a", "1"), ("b", "x")]), "needed": String("n"), "secret": String("(secret)")}"#
    );
    assert_eq!(
        read("{ needed: n, list: x, text: null, secret: known }"),
        r#"{"text": String("t"), "flag": Boolean(false), "number": Integer(7), "list": List(["x"]), "map": Map([("k", "v")]), "needed": String("n"), "secret": String("(secret)")}"#
    );
}

#[test]
fn every_fault_is_named_with_its_place() {
    assert_eq!(
        read("text: [a]\nflag: yes\nnumber: 1.5\nlist: {a: 1}\nmap: [a]\nnedeed: n"),
        "c.yaml:1:7: error: settings.text must be of type string, not a list
c.yaml:2:7: error: settings.flag must be of type boolean, not a string
c.yaml:3:9: error: settings.number must be of type integer, not a number
c.yaml:4:7: error: settings.list must be of type list, not a mapping
c.yaml:5:6: error: settings.map must be of type map, not a list
c.yaml:6:1: error: unknown setting: nedeed
  hint: did you mean: needed
c.yaml:9:1: error: missing setting: needed
  hint: needed: What is needed."
    );
    assert_eq!(
        read("[a]"),
        "c.yaml:1:1: error: settings must be a mapping, not a list
c.yaml:9:1: error: missing setting: needed
  hint: needed: What is needed."
    );
    assert_eq!(
        read("null"),
        "c.yaml:9:1: error: missing setting: needed\n  hint: needed: What is needed."
    );
    assert_eq!(
        read("{ needed: n, map: { a: [] } }"),
        "c.yaml:1:19: error: settings.map must be of type map, not a mapping"
    );
}

#[test]
fn secrets_are_redacted_whatever_their_type() {
    let text = "settings:
  s: { type: string, default: hush, secret: true }
  l: { type: list, default: [hush], secret: true }
  m: { type: map, default: { a: hush }, secret: true }
  n: { type: integer, default: 1, secret: true }
  open: { type: string, default: seen }
"
    .to_owned()
        + &of_body("\"${settings.s}\"");
    let definition = parse(&text).unwrap();
    let settings =
        definition.read_settings(None, Place::default(), &mut Diagnostics::new("c.yaml"));
    let shown = format!("{settings:?}");
    assert_eq!(
        shown,
        r#"{"s": String("(secret)"), "l": List(["(secret)"]), "m": Map([]), "n": String("(secret)"), "open": String("seen")}"#
    );
    assert_eq!(format!("{:?}", settings.redacted()), shown);
    // What is sent is the value itself.
    assert_eq!(
        settings.get("s"),
        Some(&SettingValue::String("hush".to_owned()))
    );
    assert_eq!(settings.get("nothing"), None);
    check(&text, "", r#""hush""#);
}
