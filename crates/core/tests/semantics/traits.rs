//! T: trait keys. How a vocabulary resolves keys has rows of its own in `src/traits/tests.rs`; these are about what leaves.

use groupcast_core::router::Router;
use groupcast_core::traits::{DeclaredType, Vocabulary};

use crate::routing::{Setup, one, operation, record, told};

#[track_caller]
fn check_with(router: &Router, traits: &str, expected: &str) {
    let event = format!(r#"{{"type":"group","groupId":"g","traits":{traits}}}"#);
    assert_eq!(
        told(router, &record(Some(event.as_bytes()))),
        expected,
        "{traits}"
    );
}

/// Checks what an operation of that body makes of the traits.
#[track_caller]
fn check(body: &str, traits: &str, expected: &str) {
    check_with(&one(body).router(), traits, expected);
}

fn listed(known: &[&str], aliases: &[(&str, &str)]) -> Vocabulary {
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    let aliases: Vec<(String, String)> = aliases
        .iter()
        .map(|(alias, name)| (alias.to_string(), name.to_string()))
        .collect();
    Vocabulary::new(&known, &aliases).expect("names of one meaning")
}

#[test]
fn t1_every_spelling_reaches_the_field_that_names_the_trait() {
    for key in [
        "createdAt",
        "created_at",
        "Created At",
        "CREATED-AT",
        "$createdAt",
    ] {
        check(
            r#"{ at: "${traits.createdAt}" }"#,
            &format!(r#"{{"{key}":1}}"#),
            r#"{"at":1}"#,
        );
    }
    for key in [
        "monthlySpend",
        "monthly_spend",
        "Monthly Spend",
        "$MONTHLY-SPEND",
    ] {
        for mentioned in [
            "traits.monthly_spend",
            "traits.MonthlySpend",
            r#"traits[\"monthly spend\"]"#,
        ] {
            check(
                &format!(r#"{{ spend: "${{{mentioned}}}" }}"#),
                &format!(r#"{{"{key}":1}}"#),
                r#"{"spend":1}"#,
            );
        }
    }
    check(
        r#"{ v: "${traits.nave}" , w: "${traits[\"a.b\"]}" }"#,
        r#"{"naïve":1,"ab":2,"A.B":3}"#,
        r#"{"w":3}"#,
    );
}

#[test]
fn t1_filters_find_keys_by_fold() {
    check(
        "${traits | only TOTAL_BILLED x}",
        r#"{"total billed":1,"y":2,"X":3}"#,
        r#"{"total billed":1,"X":3}"#,
    );
    check(
        "${traits | except TOTAL_BILLED x}",
        r#"{"total billed":1,"y":2,"X":3}"#,
        r#"{"y":2}"#,
    );
    check(
        "${traits | rename TOTAL_BILLED=billed}",
        r#"{"total billed":1}"#,
        r#"{"billed":1}"#,
    );
}

#[test]
fn t2_reserved_traits_leave_under_canonical_names() {
    check(
        "${traits}",
        r#"{"Avatar":1,"CREATED":2,"e_mail":3,"Zip Code":4,"postcode":5,"REVENUE":6,"Total Billed":7}"#,
        r#"{"avatar":1,"createdAt":2,"email":3,"address":{"postalCode":4},"revenue":6,"Total Billed":7} ~trait_collision:postalCode"#,
    );
}

#[test]
fn t2_aliases_are_configuration_and_never_guessed() {
    let body = r#"{ n: "${traits.employees}", rest: "${traits.rest}" }"#;
    check(body, r#"{"headcount":5}"#, r#"{"rest":{"headcount":5}}"#);
    let router = one(body)
        .changed(|routing| routing.vocabulary = listed(&[], &[("headcount", "employees")]))
        .router();
    check_with(&router, r#"{"Head Count":5}"#, r#"{"n":5,"rest":{}}"#);
}

#[test]
fn t3_the_winner_leaves_and_each_collision_is_counted() {
    check(
        "${traits}",
        r#"{"created":3,"x":0,"created_at":2,"createdAt":1}"#,
        r#"{"createdAt":1,"x":0} ~trait_collision:createdAt ~trait_collision:createdAt"#,
    );
    check(
        "${traits}",
        r#"{"total billed":null,"x":0,"Total_Billed":1}"#,
        r#"{"Total_Billed":1,"x":0} ~trait_collision:Total_Billed"#,
    );
    check(
        "${traits}",
        r#"{"Name":null,"name":null}"#,
        r#"{"name":null} ~trait_collision:name"#,
    );
}

#[test]
fn t4_parts_come_from_three_places() {
    let body = r#"{ city: "${traits.address.city}", zip: "${traits.address.postalCode}", rest: "${traits.rest}" }"#;
    check(
        body,
        r#"{"address":{"City":"a","zip":"b"}}"#,
        r#"{"city":"a","zip":"b","rest":{}}"#,
    );
    check(
        body,
        r#"{"address.city":"a","Address.ZIP":"b"}"#,
        r#"{"city":"a","zip":"b","rest":{}}"#,
    );
    check(
        body,
        r#"{"City":"a","Postal Code":"b"}"#,
        r#"{"city":"a","zip":"b","rest":{}}"#,
    );
    check(
        body,
        r#"{"city":"c","address.city":"b","address":{"city":"a"}}"#,
        r#"{"city":"a","rest":{}} ~trait_collision:city ~trait_collision:city"#,
    );
    check(
        body,
        r#"{"address":{"city":null},"city":"c"}"#,
        r#"{"city":"c","rest":{}} ~trait_collision:city"#,
    );
}

#[test]
fn t4_naming_a_part_takes_that_part_only() {
    let body = r#"{ city: "${traits.city}", rest: "${traits.rest}" }"#;
    check(
        body,
        r#"{"city":"a","state":"b"}"#,
        r#"{"city":"a","rest":{"address":{"state":"b"}}}"#,
    );
    check(
        body,
        r#"{"address":{"city":"a","suite":1}}"#,
        r#"{"city":"a","rest":{"address":{"suite":1}}}"#,
    );
    check(body, r#"{"address":{}}"#, r#"{"rest":{"address":{}}}"#);
    let whole = r#"{ address: "${traits.address}", rest: "${traits.rest}" }"#;
    check(
        whole,
        r#"{"x":1,"address":{"city":"a"}}"#,
        r#"{"address":{"city":"a"},"rest":{"x":1}}"#,
    );
}

#[test]
fn t4_state_alone_is_a_trait_like_any_other() {
    let body = r#"{ state: "${traits.address.state}", rest: "${traits.rest}" }"#;
    check(
        body,
        r#"{"State":"active"}"#,
        r#"{"rest":{"State":"active"}}"#,
    );
    check(
        body,
        r#"{"State":"TX","city":"Austin"}"#,
        r#"{"state":"TX","rest":{"address":{"city":"Austin"}}}"#,
    );
    check(
        body,
        r#"{"address":{"state":"TX"}}"#,
        r#"{"state":"TX","rest":{}}"#,
    );
}

#[test]
fn t4_a_null_address_clears_the_parts_that_nothing_else_gives() {
    let body = r#"{ city: "${traits.address.city}", state: "${traits.address.state}" }"#;
    check(body, r#"{"address":null}"#, r#"{"city":null,"state":null}"#);
    check(
        body,
        r#"{"address":null,"city":"Austin"}"#,
        r#"{"city":"Austin","state":null}"#,
    );
    check("${traits}", r#"{"address":null}"#, r#"{"address":null}"#);
}

#[test]
fn t4_a_string_address_has_no_parts_and_stays() {
    let body = r#"{ city: "${traits.address.city}", address: "${traits.address}", rest: "${traits.rest}" }"#;
    check(
        body,
        r#"{"address":"1 Main St"}"#,
        r#"{"rest":{}} ~trait_type_mismatch:address"#,
    );
    check(
        r#"{ city: "${traits.address.city}", all: "${traits}" }"#,
        r#"{"address":"1 Main St","City":"Austin"}"#,
        r#"{"city":"Austin","all":{"address":"1 Main St","city":"Austin"}}"#,
    );
    check(
        r#"{ city: "${traits.address.city}", rest: "${traits.rest}" }"#,
        r#"{"address":"1 Main St","City":"Austin"}"#,
        r#"{"city":"Austin","rest":{"address":"1 Main St"}}"#,
    );
}

#[test]
fn t4_a_string_address_fills_the_street() {
    let body = r#"{ street: "${traits.address.street}", city: "${traits.address.city}", rest: "${traits.rest}" }"#;
    for (traits, expected) in [
        (
            r#"{"address":"1 Way, C","a":1}"#,
            r#"{"street":"1 Way, C","rest":{"a":1}}"#,
        ),
        (
            r#"{"address":"1 Way","city":"C","street":null}"#,
            r#"{"street":"1 Way","city":"C","rest":{}}"#,
        ),
        // A street of its own goes first, and the line stays in the rest.
        (
            r#"{"address":"1 Way, C","street":"1 Way"}"#,
            r#"{"street":"1 Way","rest":{"address":"1 Way, C"}}"#,
        ),
        // Only a text is a line.
        (
            r#"{"address":["1 Way"]}"#,
            r#"{"rest":{"address":["1 Way"]}}"#,
        ),
        (r#"{"address":7}"#, r#"{"rest":{"address":7}}"#),
        (
            r#"{"address":null}"#,
            r#"{"street":null,"city":null,"rest":{"address":null}}"#,
        ),
    ] {
        check(body, traits, expected);
    }
    // Where no field takes a street, it stays where it was.
    check(
        r#"{ city: "${traits.address.city}", rest: "${traits.rest}" }"#,
        r#"{"address":"1 Way"}"#,
        r#"{"rest":{"address":"1 Way"}}"#,
    );
    for (definition, field) in [
        ("hubspot", "address"),
        ("salesforce", "BillingStreet"),
        ("freshsales", "address"),
        ("ortto", "str:o:address"),
    ] {
        let mut setup = Setup::new().built_in(definition, "{}");
        setup.change_last(|instance| instance.enabled_by_default = Some(true));
        let event = r#"{"type":"group","groupId":"g","traits":{"name":"N","address":"1 Way, C"}}"#;
        let told = told(&setup.router(), &record(Some(event.as_bytes())));
        let line = format!(r#""{field}":"1 Way, C""#);
        assert_eq!(told.matches("1 Way").count(), 1, "{definition}: {told}");
        assert!(told.contains(&line), "{definition}: {told}");
    }
}

#[test]
fn t5_custom_traits_keep_spelling_order_and_value() {
    check(
        "${traits}",
        r#"{"b_B":1,"A a":{"x":1},"naïve $":[1]}"#,
        r#"{"b_B":1,"A a":{"x":1},"naïve $":[1]}"#,
    );
    // A definition that mentions one does not change how it leaves.
    check(
        r#"{ x: "${traits.monthlySpend | if traits.never}", all: "${traits}" }"#,
        r#"{"Monthly Spend":1}"#,
        r#"{"all":{"Monthly Spend":1}}"#,
    );
}

#[test]
fn t5_listed_traits_leave_in_the_listed_spelling() {
    let router = one("${traits.rest}")
        .changed(|routing| routing.vocabulary = listed(&["total billed"], &[]))
        .router();
    for key in ["total billed", "totalBilled", "Total_Billed"] {
        check_with(
            &router,
            &format!(r#"{{"{key}":1}}"#),
            r#"{"total billed":1}"#,
        );
    }
}

#[test]
fn t6_case_prefix_and_suffix_are_applied_on_the_way_out() {
    check(
        "${traits | case snake | prefix group_ | suffix __c}",
        r#"{"createdAt":1,"Total Billed":2}"#,
        r#"{"group_created_at__c":1,"group_total_billed__c":2}"#,
    );
}

#[test]
fn t6_of_two_traits_in_one_key_the_better_one_stays_and_it_is_counted() {
    // Non-null first, then one that no filter renamed, then input order; at the first one's position.
    check(
        "${traits | case snake}",
        r#"{"a.b":1,"x":0,"a/b":2}"#,
        r#"{"a_b":1,"x":0} ~key_collision:a_b"#,
    );
    check(
        "${traits | case snake}",
        r#"{"a.b":null,"x":0,"a/b":2}"#,
        r#"{"a_b":2,"x":0} ~key_collision:a_b"#,
    );
    check(
        "${traits | rename b=a}",
        r#"{"b":1,"x":0,"a":2}"#,
        r#"{"a":2,"x":0} ~key_collision:a"#,
    );
    check(
        "${traits | rename b=a}",
        r#"{"a":1,"b":2}"#,
        r#"{"a":1} ~key_collision:a"#,
    );
    check(
        "${traits | flatten _}",
        r#"{"a":{"b":1},"a.b":3,"x":{}}"#,
        r#"{"a_b":1,"a.b":3}"#,
    );
    check(
        "${traits | flatten .}",
        r#"{"a":{"b":1},"a.b":3}"#,
        r#"{"a.b":3} ~key_collision:a.b"#,
    );
}

#[test]
fn t6_a_trait_of_whose_key_nothing_is_left_is_left_out_and_counted() {
    for case in ["snake", "camel", "title"] {
        check(
            &format!(r#"{{ "*": "${{traits | case {case}}}" }}"#),
            r#"{"***":1,"a":2,"___":3}"#,
            &format!(
                r#"{{"{}":2}} ~key_empty:*** ~key_empty:___"#,
                if case == "title" { "A" } else { "a" }
            ),
        );
    }
    // Not even under a prefix, since all such keys would be one.
    check(
        r#"{ "*": "${traits | case snake | prefix x_}" }"#,
        r#"{"***":1,"€":2,"b":3}"#,
        r#"{"x_b":3} ~key_empty:*** ~key_empty:€"#,
    );
    check(
        r#"{ "*": "${traits | case upper}" }"#,
        r#"{"***":1}"#,
        r#"{"***":1}"#,
    );
}

#[test]
fn t6_keys_that_a_destination_does_not_take_are_left_out() {
    check(
        "${traits | case snake | names a-z_ a-z0-9_ 12 | first 2}",
        r#"{"Total Billed":1,"2nd":2,"größe":3,"totalBilledTwice":4,"plan":5,"seats":6}"#,
        r#"{"total_billed":1,"plan":5} ~key_refused:2nd ~key_refused:größe ~key_refused:total_billed_twice ~key_refused:seats"#,
    );
}

#[test]
fn t4_a_null_address_clears_each_part_under_its_flat_name() {
    check(
        "${traits | flatten _}",
        r#"{"address":null,"x":null}"#,
        r#"{"address_city":null,"address_country":null,"address_postalCode":null,"address_state":null,"address_street":null,"x":null}"#,
    );
    // A part that another key gives stays.
    check(
        "${traits | flatten _}",
        r#"{"address":null,"city":"Austin"}"#,
        r#"{"address_city":"Austin","address_country":null,"address_postalCode":null,"address_state":null,"address_street":null}"#,
    );
}

#[test]
fn t6_a_field_beside_a_spread_is_never_written_by_a_trait() {
    let body =
        r#"{ token: T, id: "${groupId}", size: "${traits.employees}", "*": "${traits.rest}" }"#;
    check(
        body,
        r#"{"token":"evil","id":"evil","name":"n","size":9}"#,
        r#"{"token":"T","id":"g","name":"n"} ~key_collision:token ~key_collision:id ~key_collision:size"#,
    );
    let before = r#"{ "*": "${traits | prefix $}", $token: T }"#;
    check(
        before,
        r#"{"token":"evil","x":1}"#,
        r#"{"$x":1,"$token":"T"} ~key_collision:$token"#,
    );
}

#[test]
fn t6_neither_is_one_whose_key_is_computed() {
    let text = "settings: { key: { type: string, default: gid } }\n".to_owned()
        + &operation(
            r#"{ "${settings.key}": "${groupId}", "x-${traits.plan}": 1, "*": "${traits.rest}" }"#,
        );
    let router = Setup::new().with("d", &text).router();
    check_with(
        &router,
        r#"{"gid":"evil","plan":"p","x-p":2,"x-q":3}"#,
        r#"{"gid":"g","x-p":1,"x-q":3} ~key_collision:gid ~key_collision:x-p"#,
    );
    check_with(&router, r#"{"x-p":2}"#, r#"{"gid":"g","x-p":2}"#);
}

#[test]
fn t6_the_built_in_definitions_keep_their_identity() {
    let check_built_in = |id: &str, settings: &str, traits: &str, expected: &str| {
        check_with(
            &Setup::new().built_in(id, settings).router(),
            traits,
            expected,
        );
    };
    check_built_in(
        "mixpanel",
        "token: T",
        r#"{"$group_id":"evil","$token":"evil","$set":1}"#,
        r#"{"$token":"T","$group_key":"$group_id","$group_id":"g","$set":{"$group_id":"evil","$token":"evil","$set":1}}"#,
    );
    check_built_in(
        "hubspot",
        "custom_traits: all",
        r#"{"group_id":"evil","Group Id":"worse"}"#,
        r#"{"idProperty":"group_id","id":"g","properties":{"group_id":"g"}} ~trait_collision:group_id ~key_collision:group_id"#,
    );
    check_built_in(
        "intercom",
        "custom_traits: all",
        r#"{"company_id":"evil"}"#,
        r#"{"company_id":"g","custom_attributes":{"company_id":"evil"}}"#,
    );
    check_built_in(
        "customerio",
        "{}",
        r#"{"object_id":"evil"}"#,
        r#"{"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"g"}}"#,
    );
    check_built_in(
        "webhook",
        "{}",
        r#"{"groupId":"evil"}"#,
        r#"{"type":"group","groupId":"g","traits":{"groupId":"evil"}}"#,
    );
}

#[test]
fn t7_the_id_trait_is_no_identity() {
    let body = r#"{ group: "${groupId}", id: "${traits.id}", email: "${traits.email}" }"#;
    check(body, r#"{"ID":"row-7"}"#, r#"{"group":"g","id":"row-7"}"#);
    let event = r#"{"type":"group","groupId":"a@example.com"}"#;
    assert_eq!(
        told(&one(body).router(), &record(Some(event.as_bytes()))),
        r#"{"group":"a@example.com"}"#
    );
}

#[test]
fn t9_a_declared_trait_has_its_type_everywhere() {
    let check = |body: &str, traits: &str, expected: &str| {
        let mut vocabulary = listed(&["Renewal Date"], &[("seat count", "seats")]);
        for (name, declared) in [
            ("renewal_date", DeclaredType::Date),
            ("seats", DeclaredType::Number),
            ("taxNumber", DeclaredType::Text),
        ] {
            vocabulary.declare(name, declared).expect("no type yet");
        }
        let setup = one(body).changed(|routing| routing.vocabulary = vocabulary);
        check_with(&setup.router(), traits, expected);
    };
    for body in ["${traits}", r#"{ "*": "${traits.rest}" }"#] {
        // Numbers and texts, in every spelling; a date keeps its bytes where the destination has no form for dates.
        check(
            body,
            r#"{"seat_count":"50","TaxNumber":7.0,"renewalDate":"2026-01-31","other":"50"}"#,
            r#"{"seats":50,"TaxNumber":"7.0","Renewal Date":"2026-01-31","other":"50"}"#,
        );
        // What has the type already keeps its bytes.
        check(
            body,
            r#"{"seats":5e1,"taxNumber":"\u0037","renewalDate":1769817600}"#,
            r#"{"seats":5e1,"taxNumber":"\u0037","Renewal Date":1769817600}"#,
        );
        // What does not fit stays, and is counted once.
        check(
            body,
            r#"{"seats":"many","taxNumber":true,"renewalDate":"soon"}"#,
            r#"{"seats":"many","taxNumber":true,"Renewal Date":"soon"} ~trait_type_mismatch:Renewal Date ~trait_type_mismatch:seats ~trait_type_mismatch:taxNumber"#,
        );
        check(
            body,
            r#"{"seats":null,"taxNumber":null,"renewalDate":null}"#,
            r#"{"seats":null,"taxNumber":null,"Renewal Date":null}"#,
        );
    }
    for (unit, expected) in [
        ("iso8601", r#""2026-01-31T00:00:00Z""#),
        ("unix_seconds", "1769817600"),
    ] {
        let map = format!(r#"{{ "*": "${{traits.rest | dates {unit} | case snake}}" }}"#);
        for date in [r#""2026-01-31""#, "20260131", "1769817600000"] {
            let expected = if date == "1769817600000" && unit == "iso8601" {
                r#""2026-01-31T00:00:00.000Z""#
            } else {
                expected
            };
            check(
                &map,
                &format!(r#"{{"renewalDate":{date},"since":{date}}}"#),
                &format!(r#"{{"renewal_date":{expected},"since":{date}}}"#),
            );
        }
        check(
            &map,
            r#"{"renewalDate":"soon"}"#,
            r#"{"renewal_date":"soon"} ~trait_type_mismatch:Renewal Date"#,
        );
    }
    check(
        r#"{ at: "${traits.renewalDate | date}", n: "${traits.seats}" }"#,
        r#"{"Renewal_Date":1769817600,"seats":"7"}"#,
        r#"{"at":"2026-01-31","n":7}"#,
    );
    let raw = r#"{"type":"group","groupId":"g","traits":{"seats":"50"}}"#;
    check("${raw}", r#"{"seats":"50"}"#, raw);
}

#[test]
fn t9_only_a_custom_trait_is_declared_and_once() {
    let mut vocabulary = listed(&[], &[("headcount", "employees")]);
    for name in ["employees", "Head Count", "created", "zip", "address.city"] {
        let fault = vocabulary.declare(name, DeclaredType::Text);
        assert_eq!(fault, Err(format!("has a type already: {name}")));
    }
    assert_eq!(vocabulary.declare("a b", DeclaredType::Date), Ok(()));
    let fault = vocabulary.declare("A_B", DeclaredType::Date);
    assert_eq!(fault, Err("has a type already: A_B".to_owned()));
}

#[test]
fn t8_a_mapped_trait_gets_its_type() {
    for (name, value, expected) in [
        ("name", "42", r#""42""#),
        ("name", "1.0", r#""1.0""#),
        ("name", r#""""#, r#""""#),
        ("name", r#""\u00e9""#, r#""\u00e9""#),
        ("avatar", "1", r#""1""#),
        ("description", "1", r#""1""#),
        ("email", "1", r#""1""#),
        ("id", "1e3", r#""1e3""#),
        ("industry", "1", r#""1""#),
        ("phone", "15125550100", r#""15125550100""#),
        ("website", "1", r#""1""#),
        ("plan", "1", r#""1""#),
        ("address.street", "1", r#""1""#),
        ("employees", r#""50""#, "50"),
        ("employees", "50", "50"),
        ("employees", "50.0", "50"),
        ("employees", "5e1", "50"),
        ("employees", r#""-7""#, "-7"),
        ("revenue", r#""29.50""#, "29.50"),
        ("revenue", "1e3", "1e3"),
        ("createdAt", r#""2015-02-23""#, r#""2015-02-23""#),
        ("createdAt", "1424649600", "1424649600"),
        ("address", r#"{"City":1}"#, r#"{"city":1}"#),
        ("anything", r#"[1, 2]"#, "[1, 2]"),
    ] {
        check(
            &format!(r#"{{ v: "${{traits.{name}}}" }}"#),
            &format!(r#"{{"{name}":{value}}}"#),
            &format!(r#"{{"v":{expected}}}"#),
        );
    }
}

#[test]
fn t8_what_does_not_fit_is_left_out_and_counted_and_the_event_goes_on() {
    for (name, value) in [
        ("name", "true"),
        ("name", "{}"),
        ("plan", "[]"),
        ("address.city", "{}"),
        ("employees", "50.5"),
        ("employees", r#""about 50""#),
        ("employees", r#""""#),
        ("employees", "true"),
        ("revenue", r#""$5""#),
        ("revenue", r#""""#),
        ("revenue", "false"),
        ("createdAt", r#""soon""#),
        ("createdAt", "true"),
        ("address", "[1]"),
    ] {
        let traits = format!(r#"{{"{name}":{value}}}"#);
        let body = format!(r#"{{ g: "${{groupId}}", v: "${{traits.{name}}}" }}"#);
        check(
            &body,
            &traits,
            &format!(r#"{{"g":"g"}} ~trait_type_mismatch:{name}"#),
        );
        // Whole maps carry it as it came.
        let whole = traits.replace(r#""address.city":{}"#, r#""address":{"city":{}}"#);
        check("${traits}", &traits, &whole);
        // Null never mismatches.
        check(
            &body,
            &format!(r#"{{"{name}":null}}"#),
            r#"{"g":"g","v":null}"#,
        );
    }
}

#[test]
fn t8_only_a_required_field_turns_a_mismatch_into_a_skip() {
    let text = "operations:\n  - { id: op, require: \"${traits.employees}\", request: POST /, body: { n: \"${traits.employees}\" } }\n";
    let router = Setup::new().with("d", text).router();
    check_with(
        &router,
        r#"{"employees":"many"}"#,
        "skipped missing_required",
    );
    check_with(&router, r#"{"employees":0}"#, r#"{"n":0}"#);
    check_with(&router, r#"{"employees":null}"#, "skipped missing_required");
    let in_request =
        "operations:\n  - { id: op, request: \"PUT /${traits.employees}\", body: 1 }\n";
    let router = Setup::new().with("d", in_request).router();
    check_with(
        &router,
        r#"{"employees":"many"}"#,
        "skipped missing_required ~trait_type_mismatch:employees",
    );
}
