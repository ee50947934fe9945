//! Hostile events, each with texts of its own.

/// So is a number that no float holds.
pub(crate) const HUGE: &str = "1e999";

/// A lone surrogate is allowed in JSON text, but no parser makes a string of it.
pub(crate) const LONE: &str = r"\ud800";

/// Returns the events: every key with several hostile values, and every hostile value under many keys; then single odd ones.
pub(crate) fn events(own_keys: &[String], flags_of_large: &str) -> Vec<String> {
    let n_values = values("").len();
    let per_event = own_keys.len().div_ceil(n_values) * 2;
    let mut events: Vec<String> = (0..n_values)
        .map(|turn| {
            let sentinel = sentinel(turn);
            let values = values(&sentinel);
            let value = |index: usize| values[(index + turn) % n_values].as_str();
            let mut members: Vec<String> = KEYS
                .iter()
                .enumerate()
                .map(|(index, key)| format!("\"{key}\":{}", value(index)))
                .collect();
            // Keys that the definitions' own fields have.
            let fields = own_keys
                .iter()
                .cycle()
                .skip(turn * per_event / 2)
                .take(per_event)
                .enumerate();
            members.extend(fields.map(|(index, key)| {
                format!(
                    "{}:{}",
                    serde_json::to_string(key).unwrap(),
                    value(index * 7)
                )
            }));
            members.push(format!(r#""{}":"{sentinel}""#, "k".repeat(300)));
            let id = format!("g/{sentinel} é?{}", "i".repeat(turn * 7));
            call(
                &id,
                &sentinel,
                &format!("{{{}}}", members.join(",")),
                value(3),
                value(5),
            )
        })
        .collect();
    for odd in ODD {
        let sentinel = sentinel(events.len());
        events.push(odd.replace('%', &sentinel));
    }
    for (length, flags) in [(300, String::new()), (70_000, flags_of_large.to_owned())] {
        let sentinel = sentinel(events.len());
        let long = |unit: &str| format!("\"{sentinel}{}\"", unit.repeat(length));
        let mut names: Vec<String> = RESERVED_TEXTS
            .iter()
            .map(|name| format!("\"{name}\":{}", long("x")))
            .collect();
        names.push(format!(r#""custom":{}"#, long("y")));
        names.push(r#""createdAt":"2015-02-23""#.to_owned());
        // The one object that a definition reads entries of.
        names.push(format!(
            r#""relationshipAttributes":{{"role":"{sentinel}{}"}}"#,
            "z".repeat(1_100)
        ));
        events.push(format!(
            r#"{{"type":"group","groupId":"g {sentinel}","userId":"u {sentinel}","traits":{{{}}},"context":{{"traits":{{"name":{}}}}}{flags}}}"#,
            names.join(","),
            format_args!("\"{sentinel}{}\"", "z".repeat(300))
        ));
    }
    let sentinel = sentinel(events.len());
    events.push(format!(
        r#"{{"type":"group","groupId":"g-{sentinel}","anonymousId":"a {sentinel}","traits":{{"relationshipAttributes":{{"role":"{sentinel}{}"}},"name":"{sentinel}{}","custom":"{sentinel}{}"}}}}"#,
        "z".repeat(1_100),
        "y".repeat(1_100),
        "y".repeat(1_100)
    ));
    events
}

pub(crate) fn sentinel(event: usize) -> String {
    format!("Z{event:04}Z")
}

fn call(id: &str, sentinel: &str, traits: &str, context: &str, time: &str) -> String {
    // A trait and a field of the event twice: the last one wins (E10).
    format!(
        r#"{{"type":"group","groupId":"lost","groupId":"{id}","userId":"u {sentinel}","anonymousId":"a {sentinel}","traits":{traits},"context":{{"ip":{context},"library":{context},"locale":{context}}},"timestamp":{time},"messageId":{context},"unknown":{context}}}"#
    )
}

const RESERVED_TEXTS: [&str; 13] = [
    "name",
    "email",
    "phone",
    "website",
    "industry",
    "description",
    "avatar",
    "plan",
    "street",
    "city",
    "state",
    "postalCode",
    "country",
];

/// As they stand in JSON.
const KEYS: [&str; 44] = [
    "name",
    "Name",
    "email",
    "phone",
    "website",
    "industry",
    "description",
    "avatar",
    "plan",
    "id",
    "employees",
    "revenue",
    "createdAt",
    "created_at",
    "address",
    "address.city",
    "city",
    "state",
    "zip",
    "country",
    "street",
    "",
    " ",
    "___",
    "*",
    "$set",
    "$${",
    "${groupId}",
    "a.b",
    "__proto__",
    "constructor",
    "\\u516c\\u53f8",
    "\u{130}stanbul",
    "ß",
    "total billed",
    "totalBilled",
    "Total-Billed",
    "😀",
    "a\\u0000b",
    "\\\"quoted\\\"",
    "\\\\",
    "\\n",
    "tags",
    "tags",
];

/// Hostile values as JSON text; each text of them holds the sentinel, if it has letters at all.
fn values(sentinel: &str) -> Vec<String> {
    let fixed = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.0",
        "1e3",
        "1e999",
        "-1E-999",
        "12345678901234567890123",
        "-9223372036854775809",
        "0.1e-7",
        "1424649600",
        "-62135596801",
        "253402300800000",
        "-0.5",
        r#""""#,
        r#"" ""#,
        "[]",
        "{}",
        "[null]",
        "[[],{}]",
        r#"{"":""}"#,
        r#"{"a":null}"#,
        r#""9999-12-31T23:59:59.999999999Z""#,
        r#""0000-01-01""#,
        r#""2021-02-30""#,
        r#""2016-12-31T23:59:60Z""#,
        r#""2015-02-23T00:30:00+14:00""#,
        r#""-1""#,
        r#""1424649600.5""#,
        r#""1e999""#,
        r#""50""#,
        r#""true""#,
        r#""\u0000\u001f\u007f""#,
    ];
    let texts = [
        "%".to_owned(),
        format!(r"% {LONE} lone"),
        format!("% {}", r"\ud83d\ude00".repeat(260)),
        format!("% {}", "😀".repeat(70)),
        format!("% {}", "e\u{301}".repeat(70)),
        format!("% {}", r#"\\\""#.repeat(70)),
        format!("% {}", r"\n\t\u0001".repeat(50)),
        "% ${groupId} {{x}} </script> a,b;c=d&e %25".replace("%25", "25"),
        "https://www.%.example.com:8080/a?b=c#d".to_owned(),
        r#"{\"%\":1}"#.to_owned(),
    ];
    let structures = [
        r#"{"city":"%","zip":1,"x":{"y":["%"]},"State":null}"#.to_owned(),
        r#"{"a":"%","A":"%","a_b":{"c":1},"a":{"b_c":2}}"#.replacen(r#","a":{"#, r#","a b":{"#, 1),
        r#"["%",1,null,{"k":"%"},["%"]]"#.to_owned(),
        format!("{}\"%\"{}", "[".repeat(40), "]".repeat(40)),
        format!("{}\"%\"{}", r#"{"n":"#.repeat(40), "}".repeat(40)),
    ];
    let texts = texts.iter().map(|text| format!("\"{text}\""));
    let own = texts
        .chain(structures)
        .map(|text| text.replace('%', sentinel));
    fixed
        .iter()
        .map(|text| (*text).to_owned())
        .chain(own)
        .collect()
}

/// Events that are odd as a whole; `%` is the sentinel.
const ODD: [&str; 10] = [
    r#"{"type":"group","groupId":"%"}"#,
    r#"{"type":"group","groupId":"%","traits":null,"userId":null,"anonymousId":"a %"}"#,
    r#"{"type":"group","groupId":"%","userId":"u %","traits":{}}"#,
    r#"{"type":"group","groupId":123456789012345678901234567890,"userId":1.50,"traits":{"name":"%"}}"#,
    r#"{"type":"group","groupId":"\u0000\u001f\" \\ \ud83d\ude00 %","userId":"../..\u0000/%?&=#","traits":{"name":"%","plan":null}}"#,
    r#"{"type":"group","groupId":"%xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","userId":"u %"}"#,
    r#"{"type":"group","groupId":"%","userId":"u %","traits":{"name":null,"email":null,"phone":null,"website":null,"industry":null,"description":null,"avatar":null,"plan":null,"id":null,"employees":null,"revenue":null,"createdAt":null,"address":null,"custom":null,"":null}}"#,
    r#"{"type":"group","groupId":"%","userId":"u %","traits":{"address":{"city":null,"street":"%","x":{"y":"%"}},"City":"%","postcode":1,"state":"%"}}"#,
    r#"{"type":"group","groupId":"%","userId":"u %","traits":{"address":"% street","city":"%"},"context":{"groupId":"%","traits":{"name":"%"}}}"#,
    r#" { "type" : "group" , "groupId" : "%" , "userId" : {"a":"%"} , "traits" : { "name" : "%" , "name" : "%2" , "NAME" : "%3" } , "timestamp" : "no date" } "#,
];
