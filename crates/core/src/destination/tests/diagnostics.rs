//! What is wrong with a definition: each fault whole, with its line, column and hint, and all of them at once.

use super::*;

#[track_caller]
fn check_faults(text: &str, expected: &str) {
    let faults = parse(text).map_or_else(|diagnostics| lines(&diagnostics), |_| "none".to_owned());
    assert_eq!(faults, expected, "{text}");
}

const SETTINGS: &str = "settings:
  text: { type: string, default: a }
  list: { type: list, default: [] }
  map: { type: map, default: {} }
  flag: { type: boolean, default: true }
";

/// Each is a body that begins at line 4, column 11; faults are given by their column.
#[test]
fn faults_of_expressions() {
    let rows = [
        (
            r#"${traitz.name}"#,
            r#"13: error: unknown name: traitz.name
  hint: did you mean: traits"#,
        ),
        (
            r#"${groupid}"#,
            r#"13: error: unknown name: groupid
  hint: did you mean: groupId"#,
        ),
        (r#"${nothing}"#, r#"13: error: unknown name: nothing"#),
        (
            r#"${raww}"#,
            r#"13: error: unknown name: raww
  hint: did you mean: raw"#,
        ),
        (
            r#"${settings}"#,
            r#"13: error: unknown name: settings
  hint: did you mean: settings.…"#,
        ),
        (
            r#"${settings.text.x}"#,
            r#"13: error: unknown name: settings.text.x
  hint: did you mean: settings.…"#,
        ),
        (
            r#"${context}"#,
            r#"13: error: unknown name: context
  hint: did you mean: context.…"#,
        ),
        (
            r#"${traits.address.town}"#,
            r#"13: error: unknown part of an address: town
  hint: the parts are city, country, postalCode, state, street"#,
        ),
        (
            r#"${traits.a.b}"#,
            r#"13: error: a trait's own fields have no name: traits.a.b
  hint: for a trait whose key holds a dot write traits["a.…"]"#,
        ),
        (
            r#"${properties}"#,
            r#"13: error: there are no properties here: properties
  hint: write properties: beside operations:, and use it in operations only"#,
        ),
        (
            r#"${cleared | join x}"#,
            r#"13: error: there are no properties here: cleared
  hint: write properties: beside operations:, and use it in operations only"#,
        ),
        (
            r#"${settings.txet}"#,
            r#"13: error: unknown setting: txet
  hint: did you mean: text"#,
        ),
        (
            r#"${traits.name | lowr}"#,
            r#"27: error: unknown filter: lowr
  hint: did you mean: lower"#,
        ),
        (
            r#"${traits.name | lower x}"#,
            r#"33: error: lower takes no arguments"#,
        ),
        (
            r#"${traits.name | truncate}"#,
            r#"27: error: truncate needs an argument"#,
        ),
        (
            r#"${traits.name | truncate 0}"#,
            r#"27: error: truncate takes a number of characters, or of bytes as in 150 bytes"#,
        ),
        (
            r#"${traits.name | truncate x}"#,
            r#"27: error: truncate takes a number of characters, or of bytes as in 150 bytes"#,
        ),
        (
            r#"${traits.name | truncate 1 2}"#,
            r#"27: error: truncate takes a number of characters, or of bytes as in 150 bytes"#,
        ),
        (
            r#"${traits | case kebab}"#,
            r#"22: error: case takes one of snake, camel, title, upper"#,
        ),
        (
            r#"${traits.employees | between 1}"#,
            r#"32: error: between takes the least and the greatest number"#,
        ),
        (
            r#"${traits.name | between 1 2}"#,
            r#"27: error: between takes a number, not a string"#,
        ),
        (
            r#"${traits | names a-z}"#,
            r#"22: error: names takes the first character, the others, and how many, as in a-z a-z0-9_ 40, or a number alone"#,
        ),
        (
            r#"${traits | lists_of things}"#,
            r#"22: error: lists_of takes texts, numbers, booleans, nulls, objects"#,
        ),
        (
            r#"${traits | convert int:=scalars}"#,
            r#"22: error: convert takes filters of a value"#,
        ),
        (
            r#"${traits | convert int:}"#,
            "30: error: convert takes pairs\n  hint: like: convert int:=number",
        ),
        (
            r#"${traits | first x}"#,
            r#"22: error: first takes a number of entries"#,
        ),
        (
            r#"${traits | texts 0}"#,
            r#"22: error: texts takes a number of characters, or of bytes as in 150 bytes"#,
        ),
        (
            r#"${traits | dates iso}"#,
            r#"22: error: dates takes one of iso8601, unix_seconds, unix_ms, unix_us, unix_decimal, date"#,
        ),
        (
            r#"${traits.name | nulls null}"#,
            r#"27: error: nulls takes one of keep, empty, unset, drop"#,
        ),
        (
            r#"${traits | only}"#,
            r#"22: error: only needs an argument"#,
        ),
        (
            r#"${traits | only a=b}"#,
            r#"27: error: only takes no pairs"#,
        ),
        (
            r#"${traits | only ${settings.flag}}"#,
            r#"29: error: only takes a string or list here"#,
        ),
        (
            r#"${traits | except ${settings.map}}"#,
            r#"31: error: except takes a string or list here"#,
        ),
        (
            r#"${traits | only ${traits.name}}"#,
            r#"29: error: an argument in ${…} must be a setting"#,
        ),
        (
            r#"${traits | only ${settings.no}}"#,
            r#"29: error: unknown setting: no"#,
        ),
        (
            r#"${traits | rename}"#,
            r#"22: error: rename takes pairs
  hint: like: rename from=to"#,
        ),
        (
            r#"${traits | rename a}"#,
            r#"29: error: rename takes pairs
  hint: like: rename from=to"#,
        ),
        (
            r#"${traits | rename ${settings.list}}"#,
            r#"31: error: rename takes a map here"#,
        ),
        (
            r#"${traits | prefix}"#,
            r#"22: error: prefix needs an argument"#,
        ),
        (
            r#"${traits | prefix a b}"#,
            r#"22: error: prefix takes one argument"#,
        ),
        (
            r#"${traits.name | if}"#,
            r#"27: error: if needs a name
  hint: like: if settings.mode "a" "b""#,
        ),
        (
            r#"${traits.name | if "a"}"#,
            r#"30: error: if needs a name, then literals"#,
        ),
        (
            r#"${traits.name | if a=b}"#,
            r#"30: error: if needs a name, then literals"#,
        ),
        (
            r#"${traits.name | if traits.plan word}"#,
            r#"42: error: expected a JSON string, number or boolean
  hint: write "word""#,
        ),
        (
            r#"${traits.name | if traits.plan a=b}"#,
            r#"42: error: expected a JSON string, number or boolean"#,
        ),
        (
            r#"${traits.name | if nothing}"#,
            r#"30: error: unknown name: nothing"#,
        ),
        (
            r#"${traits.name | if traits.plan ${settings.text}}"#,
            r#"44: error: expected a JSON string, number or boolean"#,
        ),
        (
            r#"${groupId | date}"#,
            r#"23: error: date takes a date, not a string"#,
        ),
        (
            r#"${traits | lower}"#,
            r#"22: error: lower takes a string, not a map"#,
        ),
        (
            r#"${traits.name | case snake}"#,
            r#"27: error: case takes a map, not a string"#,
        ),
        (
            r#"${traits.employees | upper}"#,
            r#"32: error: upper takes a string, not a number"#,
        ),
        (
            r#"${traits.name | join x}"#,
            r#"27: error: join takes a list, not a string"#,
        ),
        (
            r#"${timestamp | number}"#,
            r#"25: error: number takes a string or a number, not a date"#,
        ),
        (
            r#"${settings.flag | integer}"#,
            r#"29: error: integer takes a string or a number, not a boolean"#,
        ),
        (
            r#"${settings.list | boolean}"#,
            r#"29: error: boolean takes a string or a boolean, not a list"#,
        ),
        (
            r#"${traits.createdAt | iso8601 | unix_ms}"#,
            r#"42: error: unix_ms takes a date, not a string"#,
        ),
        (
            r#"${traits.name | truncate 3 | integer | json | boolean | prefix x}"#,
            r#"67: error: prefix takes a map, not a boolean"#,
        ),
        (
            r#"a ${traits}"#,
            r#"11: error: a map has no place inside a longer string
  hint: add the filter json or join"#,
        ),
        (
            r#"a ${settings.list}"#,
            r#"11: error: a list has no place inside a longer string
  hint: add the filter json or join"#,
        ),
        (
            r#"{ "*": 1 }"#,
            r#"13: error: "*" takes one ${…} that yields a map"#,
        ),
        (
            r#"{ "*": { a: 1 } }"#,
            r#"13: error: "*" takes one ${…} that yields a map"#,
        ),
        (
            r#"{ "*": "a ${groupId}" }"#,
            r#"13: error: "*" takes one ${…} that yields a map"#,
        ),
        (
            r#"{ "*": "${groupId}" }"#,
            r#"18: error: "*" takes a map, not a string"#,
        ),
        (
            r#"{ "*": "${settings.list}" }"#,
            r#"18: error: "*" takes a map, not a list"#,
        ),
        (
            r#"{ a: "${nothing}", b: ["${groupid}"], "${traits.a.b}": 1 }"#,
            r#"19: error: unknown name: nothing
37: error: unknown name: groupid
  hint: did you mean: groupId
52: error: a trait's own fields have no name: traits.a.b
  hint: for a trait whose key holds a dot write traits["a.…"]"#,
        ),
        (
            r#"${traits.name"#,
            r#"11: error: unclosed ${
  hint: close it with }; inside { } or [ ] of YAML, or where it holds `: ` or ` #`, write the ${…} in double quotes"#,
        ),
        (
            r#"'${traits.name | lower x}'"#,
            r#"34: error: lower takes no arguments"#,
        ),
        (
            r#"${traits.name ?? nothing ?? settings.no | lowr | uper}"#,
            r#"28: error: unknown name: nothing
39: error: unknown setting: no
53: error: unknown filter: lowr
  hint: did you mean: lower
60: error: unknown filter: uper
  hint: did you mean: upper"#,
        ),
    ];
    for (expression, expected) in rows {
        let faults: Vec<String> = expected
            .lines()
            .map(|line| match line.strip_prefix("  hint") {
                Some(hint) => format!("  hint{hint}"),
                None => format!("t.yaml:4:{line}"),
            })
            .collect();
        check_faults(
            &format!("{}{SETTINGS}", of_body(expression)),
            &faults.join("\n"),
        );
    }
}

#[test]
fn faults_of_definitions() {
    let rows = [
        // A day of no form that can be compared.
        (
            r#"read: last week
operations: [{ id: a, request: POST /, body: 1 }]"#,
            r#"t.yaml:1:7: error: read must be a day, as in 2026-11-29: last week"#,
        ),
        // Operations are needed.
        (
            r#"operations: []"#,
            r#"t.yaml:1:1: error: missing key: operations"#,
        ),
        // Operations are a list.
        (
            r#"operations: x"#,
            r#"t.yaml:1:1: error: missing key: operations
t.yaml:1:13: error: operations must be a list, not a string"#,
        ),
        // Operations are mappings.
        (
            r#"operations:
  - x"#,
            r#"t.yaml:2:5: error: operations[0] must be a mapping, not a string
t.yaml:2:5: error: missing key: operations[0].id
t.yaml:2:5: error: missing key: operations[0].request
t.yaml:2:5: error: missing key: operations[0].body"#,
        ),
        // Ids stand in the id of a record.
        (
            r#"operations:
  - { id: A-b, request: POST /, body: 1 }"#,
            r#"t.yaml:2:5: error: an operation's id takes lower case letters, digits, . and _ only: A-b"#,
        ),
        // Ids are unique.
        (
            r#"operations:
  - { id: a, request: POST /, body: 1 }
  - { id: a, request: POST /, body: 2 }"#,
            r#"t.yaml:3:23: error: two operations have one id: a"#,
        ),
        // Keys of an operation.
        (
            r#"operations:
  - { id: a, request: [POST /], body: 1, when: { a: 1 }, idempotent: maybe, key: user, wen: x }"#,
            r#"t.yaml:2:23: error: expected a string, not a list
t.yaml:2:48: error: expected a string, not a mapping
t.yaml:2:70: error: operations[0].idempotent must be true or false, not a string
t.yaml:2:82: error: operations[0].key must be one of group, member, not: user
t.yaml:2:88: error: unknown key: operations[0].wen
  hint: did you mean: when"#,
        ),
        // Batches.
        (
            r#"operations:
  - id: a
    request: POST /
    body: 1
    batch: { records: -1, bytes: many, as: list, encoding: xml, size: 1 }"#,
            r#"t.yaml:5:23: error: operations[0].batch.records must be a whole number, 0 or more, not a number
t.yaml:5:34: error: operations[0].batch.bytes must be a whole number, 0 or more, not a string
t.yaml:5:44: error: batch.as must be single, array or { array_in: FIELD }
t.yaml:5:60: error: batch.encoding must be json, form or { form: FIELD }
t.yaml:5:65: error: unknown key: operations[0].batch.size
  hint: the keys are records, bytes, item_bytes, as, encoding"#,
        ),
        // Keys of what a batch is.
        (
            r#"operations:
  - id: a
    request: POST /
    body: 1
    batch: { as: { array_in: a, array: b }, encoding: { field: x } }"#,
            r#"t.yaml:5:33: error: unknown key: operations[0].batch.as.array
  hint: did you mean: array_in
t.yaml:5:55: error: missing key: operations[0].batch.encoding.form
t.yaml:5:57: error: unknown key: operations[0].batch.encoding.field
  hint: the keys are form"#,
        ),
        // Reasons of skips.
        (
            r#"operations:
  - { id: a, request: POST /, body: 1 }
examples:
  - { about: x, event: {}, skips: optin }"#,
            r#"t.yaml:4:35: error: examples[0].skips must be one of flag_false, all_false, opt_in, missing_required, no_member, nothing_to_send, not: optin
  hint: did you mean: opt_in"#,
        ),
        (
            "operations:\n  - { id: a, request: POST /, body: 1, batch: { as: array, encoding: form } }",
            "t.yaml:2:47: error: batch.encoding form takes one item a request: batch.as must be single",
        ),
        // Requests hold what needs no escape.
        (
            r#"operations:
  - { id: a, request: 'POST /a"b', body: 1 }
  - { id: b, request: POST /é, body: 1 }
  - { id: c, request: 'POST /\\', body: 1 }"#,
            r#"t.yaml:2:23: error: no character of a request: "
  hint: percent-encode it
t.yaml:3:23: error: no character of a request: é
  hint: percent-encode it
t.yaml:4:23: error: no character of a request: \
  hint: percent-encode it"#,
        ),
        // Secrets stand in no request.
        (
            r#"settings: { t: { type: string, required: true, secret: true } }
operations:
  - { id: a, request: "POST /${traits.x ?? settings.t}", body: "${settings.t}" }"#,
            r#"t.yaml:3:23: error: a secret setting in request: t
  hint: let the sender add it"#,
        ),
        // Settings and properties are mappings.
        (
            r#"settings: [a]
properties: x
operations:
  - { id: a, request: POST /, body: 1 }"#,
            r#"t.yaml:1:11: error: settings must be a mapping, not a list
t.yaml:2:13: error: properties must be a mapping, not a string"#,
        ),
        // Declared settings.
        (
            r#"settings:
  a: x
  b: { type: text }
  c: { type: string }
  d: { type: integer, default: x, secrt: true }
  e: { default: 1 }
operations:
  - { id: a, request: POST /, body: 1 }"#,
            r#"t.yaml:2:6: error: settings.a must be a mapping, not a string
t.yaml:2:6: error: missing key: settings.a.type
t.yaml:2:6: error: settings.a needs a default, or required: true
t.yaml:3:6: error: settings.b needs a default, or required: true
t.yaml:3:14: error: settings.b.type must be one of string, boolean, integer, list, map, not: text
t.yaml:4:6: error: settings.c needs a default, or required: true
t.yaml:5:32: error: settings.d.default must be of type integer, not a string
t.yaml:5:35: error: unknown key: settings.d.secrt
  hint: did you mean: secret
t.yaml:6:6: error: missing key: settings.e.type"#,
        ),
        // Keys of a definition.
        (
            r#"name: ''
about:
membership: few
nulls: zero
aliases: { a: 1 }
enabled_by_default: 1
opertions: []
operations:
  - { id: a, request: POST /, body: 1 }"#,
            r#"t.yaml:1:1: error: missing key: name
t.yaml:1:1: error: missing key: about
t.yaml:3:13: error: membership must be one of many, one, none, not: few
t.yaml:4:8: error: nulls must be one of keep, empty, unset, drop, not: zero
t.yaml:5:10: error: aliases must be a list of strings, not a mapping
t.yaml:6:21: error: enabled_by_default must be true or false, not a number
t.yaml:7:1: error: unknown key: opertions
  hint: did you mean: operations"#,
        ),
        // What every definition must say.
        (
            r#"membership:
nulls:
operations:
  - { id: a, request: POST /, body: 1 }"#,
            r#"t.yaml: error: membership must say many, one or none
t.yaml: error: nulls must say keep, empty, unset or drop"#,
        ),
        // Examples.
        (
            r#"operations:
  - { id: a, request: POST /, body: 1 }
examples:
  - {}
  - { about: x, event: {} }
  - { about: x, event: {}, skips: opt_in, emits: [] }
  - { about: x, event: {}, emits: y }
  - { about: x, event: {}, emits: [{ operation: a, bdy: 1 }] }"#,
            r#"t.yaml:4:5: error: missing key: examples[0].about
t.yaml:4:5: error: missing key: examples[0].event
t.yaml:4:5: error: an example says either what it emits or why it skips
t.yaml:5:5: error: an example says either what it emits or why it skips
t.yaml:6:5: error: an example says either what it emits or why it skips
t.yaml:7:35: error: examples[3].emits must be a list, not a string
t.yaml:8:36: error: missing key: examples[4].emits.body
t.yaml:8:52: error: unknown key: examples[4].emits.bdy
  hint: did you mean: body"#,
        ),
        // An expression in braces is quoted.
        (
            r#"operations:
  - { id: a, request: POST /, body: { x: ${groupId} } }"#,
            r#"t.yaml:2:43: error: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'
  hint: inside { } or [ ] write a ${…} in double quotes, and likewise any text that holds `: ` or ` #`"#,
        ),
        // Keys are unique.
        (
            r#"operations:
  - { id: a, request: POST /, body: { x: 1, x: 2 } }"#,
            r#"t.yaml:2:45: error: duplicate key, first on line 2: x"#,
        ),
        // Properties do not name themselves.
        (
            r#"properties:
  a: ${properties}
  "*": ${cleared}
operations:
  - { id: a, request: POST /, body: "${nothing}" }"#,
            r#"t.yaml:2:8: error: there are no properties here: properties
  hint: write properties: beside operations:, and use it in operations only
t.yaml:3:10: error: there are no properties here: cleared
  hint: write properties: beside operations:, and use it in operations only
t.yaml:5:40: error: unknown name: nothing"#,
        ),
    ];
    for (text, expected) in rows {
        check_faults(text, expected);
    }
}

#[test]
fn what_is_no_yaml_is_told_with_its_line() {
    let faults = |text: &str| lines(&Definition::parse("x", "x.yaml", text).unwrap_err());
    let hint = "\n  hint: inside { } or [ ] write a ${…} in double quotes, and likewise any text that holds `: ` or ` #`";
    assert_eq!(
        faults("a: [1\nb: 2"),
        format!("x.yaml:2:2: error: not valid YAML: illegal placement of ':' indicator{hint}")
    );
    let documents = faults("name: x\nname: y\n---\na: 1");
    assert_eq!(
        documents,
        "x.yaml:2:1: error: duplicate key, first on line 1: name
x.yaml:3:1: error: more than one YAML document in the file
  hint: remove the `---` and what follows it"
    );
    assert_eq!(
        faults(""),
        "x.yaml: error: membership must say many, one or none
x.yaml: error: nulls must say keep, empty, unset or drop
x.yaml:1:1: error: missing key: name
x.yaml:1:1: error: missing key: about
x.yaml:1:1: error: missing key: operations"
    );
}
