//! Events that a careless producer sends, made for one definition from the names that it reads.

use std::collections::BTreeSet;

use groupcast_core::destination::Definition;
use serde_json::{Map, Value, json};

use crate::events;

/// The events, and the parts of which the laws make more.
pub(crate) struct Hostile {
    pub(crate) events: Vec<String>,
    /// Whole events with every value at once, which are large.
    pub(crate) corpus: Vec<String>,
    /// Every trait that the definition reads, every reserved one, and some custom ones, each with a good value.
    pub(crate) good: Map<String, Value>,
}

impl Hostile {
    pub(crate) fn of(definition: &Definition) -> Hostile {
        let text = std::fs::read_to_string(&definition.file).expect("a file of the folder");
        let text = text.split("\nexamples:").next().unwrap_or_default();
        let good = good_traits(text);
        let own_keys: Vec<String> = good.keys().cloned().collect();
        let mut hostile = Hostile {
            events: Vec::new(),
            corpus: events::events(&own_keys, ""),
            good,
        };
        hostile.members();
        hostile.values();
        hostile.keys();
        hostile.amounts(&names_after(text, "traits."));
        hostile.ids();
        hostile.context();
        hostile.options(definition, &names_after(text, "options."));
        hostile
    }

    fn add(&mut self, event: &Value) {
        self.events.push(event.to_string());
    }

    fn with_traits(&mut self, traits: Value) {
        self.add(&event(traits));
    }

    fn members(&mut self) {
        for member in [
            json!({}),
            json!({ "userId": "u1" }),
            json!({ "anonymousId": "a1" }),
            json!({ "userId": "u1", "anonymousId": "a1" }),
        ] {
            for traits in [
                None,
                Some(json!({})),
                Some(json!({ "name": "Initech" })),
                Some(json!(self.good)),
            ] {
                let mut event = json!({ "type": "group", "groupId": "g1" });
                let members = event.as_object_mut().unwrap();
                members.extend(member.as_object().unwrap().clone());
                members.extend(traits.map(|traits| ("traits".to_owned(), traits)));
                self.add(&event);
                self.add(&timed(event));
            }
        }
    }

    fn values(&mut self) {
        for name in self.good.clone().keys() {
            for value in values() {
                self.with_traits(json!({ name: value }));
                if let Some(part) = name.strip_prefix("address.") {
                    self.with_traits(json!({ "address": { part: value } }));
                }
            }
        }
        self.with_traits(json!({ "address": "1 Example Street, Austin" }));
        self.with_traits(json!({ "address": { "x": { "y": ["z"] }, "city": null } }));
        self.with_traits(json!({ "nested": { "a": { "b": [1, { "c": null }] }, "d": null } }));
    }

    fn keys(&mut self) {
        let keys = odd_keys();
        for key in &keys {
            for value in [json!("x"), json!(null)] {
                self.with_traits(json!({ "name": "Initech", key: value }));
            }
            self.with_traits(json!({ "nested": { key: "x" } }));
        }
        let all: Map<String, Value> = keys.into_iter().map(|key| (key, json!("x"))).collect();
        self.with_traits(json!(all));
    }

    fn amounts(&mut self, read: &BTreeSet<String>) {
        for (n_traits, length) in [(300, 1), (300, 300), (1_500, 10)] {
            let traits: Map<String, Value> = (0..n_traits)
                .map(|index| (format!("custom trait {index}"), json!("x".repeat(length))))
                .collect();
            self.with_traits(json!(traits));
        }
        let words: Vec<String> = (0..2_000).map(|index| format!("word {index}")).collect();
        self.with_traits(json!({ "tags": words, "name": "Initech" }));
        for name in read.iter().map(String::as_str).chain(["seats"]) {
            self.with_traits(json!({ name: "x".repeat(70_000) }));
        }
        let all: Map<String, Value> = self
            .good
            .keys()
            .map(|key| (key.clone(), json!("é😀".repeat(2_000))))
            .collect();
        self.with_traits(json!(all));
        let all: Map<String, Value> = self
            .good
            .keys()
            .map(|key| (key.clone(), json!("x".repeat(400))))
            .collect();
        self.with_traits(json!(all));
    }

    fn ids(&mut self) {
        let ids = [
            json!(" "),
            json!("   "),
            json!("a/b"),
            json!("ä ö 公司 😀"),
            json!(" padded "),
            json!("a\nb"),
            json!(".."),
            json!("i".repeat(60)),
            json!("i".repeat(160)),
            json!("i".repeat(300)),
            json!("i".repeat(500)),
            json!(7),
            json!(0),
            json!(12_345_678_901_234_567_890_u64),
            json!("00000000-0000-0000-0000-000000000000"),
            json!("null"),
            json!("undefined"),
            json!("office@initech.example.com"),
            json!("$device:x"),
            json!("#?&="),
        ];
        for id in &ids {
            for field in ["groupId", "userId", "anonymousId"] {
                for traits in [json!({}), json!({ "name": "Initech", "plan": "gold" })] {
                    let mut event = event(traits);
                    if field == "anonymousId" {
                        event.as_object_mut().unwrap().remove("userId");
                    }
                    event[field] = id.clone();
                    self.add(&event);
                }
            }
        }
        for id in ["m".repeat(2_000), " ".to_owned()] {
            let mut event = event(json!({ "name": "Initech" }));
            event["messageId"] = json!(id);
            self.add(&event);
        }
        for time in [
            json!("2015-02-23"),
            json!(0),
            json!(-1),
            json!("2999-01-01T00:00:00.123456789+02:00"),
            json!(null),
        ] {
            let mut event = event(json!({ "name": "Initech", "createdAt": time }));
            event["timestamp"] = time;
            self.add(&event);
        }
        for value in values() {
            let mut event = event(json!({ "name": "Initech" }));
            event["messageId"] = value;
            self.add(&event);
        }
    }

    fn context(&mut self) {
        let context = |context: Value| {
            let mut event = event(json!({ "name": "Initech", "plan": "gold" }));
            event["context"] = context;
            event
        };
        for name in ["name", "email"] {
            for value in values() {
                self.add(&context(json!({ "traits": { name: value } })));
                self.add(&context(
                    json!({ "traits": { "name": "Sam", "email": "sam@example.com", name: value } }),
                ));
            }
        }
        for name in [
            "ip",
            "locale",
            "timezone",
            "userAgent",
            "groupId",
            "app",
            "library",
            "active",
        ] {
            for value in values() {
                self.add(&context(json!({ name: value })));
                self.add(&context(
                    json!({ name: { "name": value, "version": value } }),
                ));
            }
        }
    }

    fn options(&mut self, definition: &Definition, names: &BTreeSet<String>) {
        for name in names {
            for value in values() {
                for member in ["userId", "anonymousId"] {
                    let mut event =
                        json!({ "type": "group", "groupId": "g1", "traits": self.good });
                    event[member] = json!("m1");
                    event["integrations"] = json!({ definition.name.as_str(): { name: value } });
                    self.add(&timed(event));
                }
            }
        }
    }
}

/// A call of a user with these traits.
pub(crate) fn event(traits: Value) -> Value {
    timed(json!({ "type": "group", "groupId": "g1", "userId": "u1", "traits": traits }))
}

fn timed(mut event: Value) -> Value {
    event["messageId"] = json!("m-1");
    event["timestamp"] = json!("2026-11-23T12:00:00.250Z");
    event
}

/// Values that some trait gets by mistake.
pub(crate) fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(""),
        json!(" "),
        json!([]),
        json!(["a", "b"]),
        json!([1, null, { "k": "v" }, ["a"]]),
        json!({}),
        json!({ "a": { "b": 1 }, "c": null }),
        json!(42),
        json!("42"),
        json!("text"),
        json!(0),
        json!(-3),
        json!(1.5),
        json!(1e30),
        json!(2_147_483_648_u64),
        json!(-2_147_483_649_i64),
        json!(99_999_999_999_u64),
        json!(12_345_678_901_234_567_890_u64),
        json!("12345678901234567890"),
        json!(true),
        json!(false),
        json!("true"),
        json!("2015-02-23"),
        json!("2015-02-23T10:11:12+02:00"),
        json!("2015-02-23 10:11:12.123456"),
        json!("2999-12-31T23:59:59Z"),
        json!(-62_135_596_800_i64),
        json!("https://www.initech.example.com/about"),
        json!("x".repeat(1_100)),
    ]
}

fn odd_keys() -> Vec<String> {
    let keys = [
        "",
        " ",
        "%",
        "#",
        "😀",
        "___",
        "-",
        "a.b",
        "$set",
        "$name",
        "a$b",
        "with space",
        "Total Billed",
        "1st",
        "2",
        "größe",
        "公司",
        "naïve",
        "UPPER",
        "camelCase",
        "kebab-case",
        "a:b",
        "a/b",
        "a\"b",
        "a\\b",
        "a\nb",
        "a'b",
        "a,b",
        "<b>",
        "*",
        "__proto__",
        "_x",
        "group_id",
        "id",
        "uid",
        "userId",
        "user_id",
        "groupId",
        "company",
        "company_id",
        "companyId",
        "accountId",
        "account_id",
        "key",
        "type",
        "action",
        "entity",
        "token",
        "api_key",
        "app",
        "org",
        "user",
        "message",
        "email",
        "ga_x",
        "google_x",
        "firebase_x",
        "properties",
        "traits",
        "attributes",
        "created",
        "created_at",
        "createdAt",
        "updated_at",
        "timestamp",
        "last_seen",
        "name",
        "Name",
        "tags",
        "groups",
        "external_id",
        "externalId",
        "status",
        "domain",
        "size",
        "mrr",
        "null",
        "true",
        "x--y",
        "a__c",
        "a_id",
        "distinct_id",
        "$distinct_id",
        "event",
        "session_id",
        "client_id",
        "record_id",
        "cf_plan",
        "plan__c",
        "custom",
        "ctaf",
        "cta",
        "segment",
        "url",
        "currency",
    ];
    let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    keys.extend([41, 65, 101, 129, 201, 300].map(|length| "k".repeat(length)));
    keys.push("ключ".repeat(60));
    keys
}

/// Returns a good value for every trait that a definition reads and for the reserved ones.
fn good_traits(text: &str) -> Map<String, Value> {
    let mut good = json!({
        "name": "Initech", "createdAt": "2015-02-23T08:11:12.987Z", "email": "hello@initech.example.com", "phone": "+15125550100",
        "avatar": "https://initech.example.com/logo.png", "description": "Makes software.", "employees": 50, "id": "row-7",
        "industry": "Software", "plan": "enterprise", "website": "https://www.initech.example.com/about", "revenue": 1_200_000.5,
        "address": { "city": "Austin", "country": "US", "postalCode": "73301", "state": "TX", "street": "1 Example Street" },
        "address.city": "Austin", "city": "Austin", "street": "1 Example Street", "total billed": 830, "seats": 12, "tags": ["a", "b"],
        "isActive": true, "renewedOn": "2024-05-06", "limits": { "users": 5 },
    });
    let known = json!({ "churned": true, "monthlySpend": 99.5, "monthlyRevenue": 99.5, "mrr": 99, "objectTypeId": 2 });
    let members = good.as_object_mut().expect("an object");
    for name in names_after(text, "traits.") {
        if name != "rest" && !members.contains_key(&name) {
            let value = known.get(&name).cloned().unwrap_or_else(|| json!("7"));
            members.insert(name, value);
        }
    }
    std::mem::take(members)
}

/// Returns the names that stand behind a root such as `traits.`, but not behind `context.traits.`.
fn names_after(text: &str, root: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (place, _) in text.match_indices(root) {
        let before = text[..place].chars().next_back();
        if !matches!(before, Some('{' | ' ')) {
            continue;
        }
        let rest = &text[place + root.len()..];
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if end > 0 {
            names.insert(rest[..end].to_owned());
        }
    }
    names
}
