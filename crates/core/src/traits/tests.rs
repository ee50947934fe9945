use super::vocabulary::Mention;
use super::*;

/// Resolves `json` and writes what came of it: `name=value` in order, then `lost<kept` for each collision.
fn resolved(json: &str, vocabulary: &Vocabulary) -> String {
    let arena = Bump::new();
    let members = Raw::parse(json).unwrap().members(&arena).unwrap();
    let traits = Traits::resolve(members, vocabulary, &arena).unwrap();
    let mut words: Vec<String> = traits
        .entries()
        .iter()
        .map(|entry| word(entry, &traits))
        .collect();
    words.extend(
        traits
            .collisions()
            .iter()
            .map(|collision| format!("{}<{}", collision.lost, collision.kept)),
    );
    words.join(" ")
}

fn word(entry: &Trait<'_>, traits: &Traits<'_>) -> String {
    let address = traits.address();
    if entry.id != Some(TraitId::ADDRESS) || address.whole().is_some() {
        return format!("{}={}", entry.name, entry.value.text());
    }
    let items: Vec<String> = address
        .items()
        .iter()
        .map(|item| format!("{}:{}", item.name, item.value.text()))
        .collect();
    format!("address={{{}}}", items.join(","))
}

#[track_caller]
fn check(json: &str, expected: &str) {
    assert_eq!(resolved(json, &Vocabulary::default()), expected, "{json}");
}

#[track_caller]
fn check_with(known: &[&str], aliases: &[(&str, &str)], json: &str, expected: &str) {
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    let aliases: Vec<(String, String)> = aliases
        .iter()
        .map(|(a, b)| (a.to_string(), b.to_string()))
        .collect();
    assert_eq!(
        resolved(json, &Vocabulary::new(&known, &aliases).unwrap()),
        expected,
        "{json}"
    );
}

#[test]
fn t1_keys_of_one_fold_are_one_trait() {
    for key in [
        "createdAt",
        "created_at",
        "Created At",
        "CREATED-AT",
        "$createdAt",
        "$created_at",
        "  created\u{a0}AT ",
    ] {
        check(&format!(r#"{{"{key}":1}}"#), "createdAt=1");
    }
}

#[test]
fn t1_everything_else_is_kept() {
    for (a, b) in [
        ("naïve", "nave"),
        ("C++", "C#"),
        ("a.b", "ab"),
        ("a$b", "ab"),
        ("$$a", "$a"),
        ("公司", "公"),
    ] {
        assert_ne!(Fold::of(a), Fold::of(b), "{a} {b}");
    }
    assert_eq!(
        Fold::of("nai\u{308}ve"),
        Fold::of("NAÏVE"),
        "NFC, then lower case"
    );
    assert_eq!(Fold::of("_$a"), Fold::of("a"));
    assert_eq!(
        Fold::of("$$"),
        Fold::of("_$$"),
        "one leading $ is left out, however it is written"
    );
}

#[test]
fn t1_a_fold_knows_its_keys() {
    let keys = [
        "createdAt",
        "Created At",
        "$created_at",
        "__$ createdat",
        "created",
        "createdAtX",
        "$",
        "_",
        "",
        "$$",
        "naïve",
        "NAI\u{308}VE",
        "\u{b}a",
        "\u{a0}",
        "_\u{a0}",
    ];
    for a in keys {
        for b in keys {
            assert_eq!(
                Fold::of(a).is_of(b),
                Fold::of(a) == Fold::of(b),
                "{a:?} {b:?}"
            );
        }
    }
}

#[test]
fn t1_a_key_whose_fold_is_empty_is_its_own_trait() {
    check(
        r#"{"___":1,"__":2,"$":3,"":4," ":5,"$$":6}"#,
        "___=1 __=2 $=3 =4  =5 $$=6",
    );
}

#[test]
fn t2_reserved_traits_and_built_in_aliases() {
    check(
        r#"{"AVATAR":1,"Description":2,"e-mail":3,"Employees":4,"ID":5,"$industry":6,"Name":7,"PHONE":8,"web_site":9,"Plan":10,"Revenue":11,"Created":12}"#,
        "avatar=1 description=2 email=3 employees=4 id=5 industry=6 name=7 phone=8 website=9 plan=10 revenue=11 createdAt=12",
    );
    for key in [
        "zip",
        "ZIP",
        "zipCode",
        "zip_code",
        "Postcode",
        "postal_code",
        "postalCode",
    ] {
        check(&format!(r#"{{"{key}":1}}"#), "address={postalCode:1}");
        check(
            &format!(r#"{{"address":{{"{key}":1}}}}"#),
            "address={postalCode:1}",
        );
        check(
            &format!(r#"{{"Address.{key}":1}}"#),
            "address={postalCode:1}",
        );
    }
}

#[test]
fn t2_more_aliases_are_configuration() {
    check("{\"headcount\":1}", "headcount=1");
    check_with(
        &[],
        &[("headcount", "employees")],
        r#"{"Head Count":1}"#,
        "employees=1",
    );
    check_with(
        &[],
        &[("town", "city")],
        r#"{"town":1,"address":{"Town":2},"address.town":3}"#,
        "address={city:2} address.town<Town town<Town",
    );
    check_with(
        &[],
        &[("mrr", "monthlySpend")],
        r#"{"MRR":1}"#,
        "monthlySpend=1",
    );
}

#[test]
fn t2_a_name_has_one_meaning() {
    let fault = |known: &[&str], aliases: &[(&str, &str)]| {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let aliases: Vec<(String, String)> = aliases
            .iter()
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .collect();
        Vocabulary::new(&known, &aliases).unwrap_err()
    };
    assert_eq!(
        fault(&["Created At"], &[]),
        ["means createdAt already: Created At"]
    );
    assert_eq!(
        fault(&[], &[("plan", "tier")]),
        ["means plan already: plan"]
    );
    assert_eq!(
        fault(&["x y"], &[("xy", "name")]),
        ["means x y already: xy"]
    );
    assert_eq!(
        fault(&[], &[("zip", "name")]),
        ["means address.postalCode already: zip"]
    );
    assert_eq!(fault(&[], &[("a", "created")]), ["an alias of an alias: a"]);
}

#[test]
fn t3_rank_then_input_order_among_non_null() {
    check(
        r#"{"created":3,"created_at":2,"createdAt":1}"#,
        "createdAt=1 created<created_at created_at<createdAt",
    );
    check(
        r#"{"created":3,"created_at":2,"Created At":1}"#,
        "createdAt=2 created<created_at Created At<created_at",
    );
    check(
        r#"{"createdAt":null,"created":3}"#,
        "createdAt=3 createdAt<created",
    );
    check(
        r#"{"created":null,"createdAt":null}"#,
        "createdAt=null created<createdAt",
    );
    check(
        r#"{"a":0,"Name":1,"b":2,"name":null}"#,
        "a=0 name=1 b=2 name<Name",
    );
}

#[test]
fn t3_a_custom_winner_keeps_its_spelling_at_the_first_position() {
    check(
        r#"{"total billed":1,"x":2,"Total_Billed":3}"#,
        "total billed=1 x=2 Total_Billed<total billed",
    );
    check(
        r#"{"total billed":null,"x":2,"Total_Billed":3}"#,
        "Total_Billed=3 x=2 total billed<Total_Billed",
    );
}

#[test]
fn t4_the_place_decides_before_the_rank() {
    check(
        r#"{"city":1,"address.city":2,"address":{"City":3}}"#,
        "address={city:3} address.city<City city<City",
    );
    check(
        r#"{"city":1,"Address.City":2}"#,
        "address={city:2} city<Address.City",
    );
    check(
        r#"{"Address.City":1,"address.city":2}"#,
        "address={city:2} Address.City<address.city",
    );
    check(
        r#"{"zip":1,"postal_code":2,"postalCode":3}"#,
        "address={postalCode:3} postal_code<postalCode zip<postalCode",
    );
    check(
        r#"{"address":{"zip":1,"postal_code":2,"postalCode":3}}"#,
        "address={postalCode:3} zip<postal_code postal_code<postalCode",
    );
}

#[test]
fn t4_nulls_are_passed_over() {
    check(
        r#"{"address":{"city":null},"city":1}"#,
        "address={city:1} city<city",
    );
    check(
        r#"{"address":{"city":null},"address.city":null}"#,
        "address={city:null} address.city<city",
    );
}

#[test]
fn t4_a_lone_state_is_no_address() {
    check(r#"{"state":"active"}"#, r#"state="active""#);
    check(r#"{"State":1,"state":2,"x":3}"#, "State=1 x=3 state<State");
    check(
        r#"{"x":0,"state":1,"city":2}"#,
        "x=0 address={state:1,city:2}",
    );
    check(
        r#"{"state":1,"address":{"street":2}}"#,
        "address={street:2,state:1}",
    );
    check(
        r#"{"state":1,"address":{"suite":2}}"#,
        "state=1 address={suite:2}",
    );
    check(
        r#"{"state":1,"address":{"state":2}}"#,
        "state=1 address={state:2}",
    );
    check(r#"{"address.state":1}"#, "address={state:1}");
}

#[test]
fn t4_a_null_address_clears_each_part_that_nothing_else_gives() {
    let part_of = |json: &str, part| {
        let vocabulary = Vocabulary::default();
        let arena = Bump::new();
        let members = Raw::parse(json).unwrap().members(&arena).unwrap();
        let traits = Traits::resolve(members, &vocabulary, &arena).unwrap();
        traits.address().part(part).map(|raw| raw.text().to_owned())
    };
    assert_eq!(
        part_of(r#"{"address":null}"#, Part::City).as_deref(),
        Some("null")
    );
    assert_eq!(
        part_of(r#"{"address":null,"city":1}"#, Part::City).as_deref(),
        Some("1")
    );
    assert_eq!(
        part_of(r#"{"address":null,"city":1}"#, Part::Street).as_deref(),
        Some("null")
    );
    assert_eq!(part_of(r#"{"address":"1 Main St"}"#, Part::Street), None);
    assert_eq!(part_of(r#"{}"#, Part::Street), None);
    check(r#"{"address":null}"#, "address=null");
    check(
        r#"{"address":null,"city":1}"#,
        "address={city:1,country:null,postalCode:null,state:null,street:null}",
    );
}

#[test]
fn t4_a_string_address_stays_and_loses_nothing() {
    check(
        r#"{"address":"1 Main St","City":1}"#,
        r#"address="1 Main St" city=1"#,
    );
}

/// Has `read` look at the traits of `json`.
fn with_traits<T>(json: &str, read: impl FnOnce(&Traits<'_>) -> T) -> T {
    let vocabulary = Vocabulary::new(&["total billed".to_owned()], &[]).unwrap();
    let arena = Bump::new();
    let members = Raw::parse(json).unwrap().members(&arena).unwrap();
    read(&Traits::resolve(members, &vocabulary, &arena).unwrap())
}

#[test]
fn t4_what_a_name_means_is_found_wherever_it_stands() {
    for (json, name, expected) in [
        (r#"{"x":0,"Created":1}"#, "created_at", Some("1")),
        (r#"{"x":0,"A a":1}"#, "a_a", Some("1")),
        (r#"{"x":0,"address":{"zip":1}}"#, "postal code", Some("1")),
        (r#"{"x":0,"ZIP":1}"#, "address.postalCode", Some("1")),
        (
            r#"{"address":"1 Main St","zip":1}"#,
            "postalCode",
            Some("1"),
        ),
        (r#"{"address":"1 Main St","zip":1}"#, "city", None),
        (r#"{"x":0,"State":1}"#, "state", Some("1")),
        (r#"{"x":0}"#, "y", None),
    ] {
        let found = with_traits(json, |traits| {
            traits
                .meant_by(&Fold::of(name))
                .map(|value| value.text().to_owned())
        });
        assert_eq!(found.as_deref(), expected, "{json} {name}");
    }
}

#[test]
fn t2_reserved_traits_are_told_from_custom_ones() {
    for (json, expected) in [
        (
            r#"{"x":0,"Name":1,"totalBilled":2,"zip":3,"revenue":4}"#,
            "name address revenue",
        ),
        (
            r#"{"address":"1 Main St","zip":1,"x":2}"#,
            "address postalCode",
        ),
        (r#"{"x":0,"state":1}"#, ""),
    ] {
        let reserved = with_traits(json, |traits| {
            let reserved = traits
                .entries()
                .iter()
                .filter(|entry| traits.is_reserved(entry));
            reserved
                .map(|entry| entry.name.to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        });
        assert_eq!(reserved, expected, "{json}");
    }
    let mut names: Vec<&str> = Vocabulary::reserved().collect();
    names.sort_unstable();
    let expected = "address avatar createdAt description email employees id industry name phone plan revenue website";
    assert_eq!(names.join(" "), expected);
    let is_empty = |json| with_traits(json, |traits| traits.is_empty());
    assert!(is_empty("{}") && !is_empty(r#"{"x":null}"#));
}

#[test]
fn t4_parts_stand_inside_address_only() {
    check(
        r#"{"City":1,"x":2,"address":{"Street":3,"suite no":4}}"#,
        "x=2 address={street:3,suite no:4,city:1}",
    );
}

#[test]
fn t5_known_traits_leave_in_the_listed_spelling() {
    let known = ["total billed", "monthlySpend"];
    check_with(
        &known,
        &[],
        r#"{"totalBilled":1,"Monthly_Spend":2}"#,
        "total billed=1 monthlySpend=2",
    );
    check(
        r#"{"totalBilled":1,"Monthly_Spend":2}"#,
        "totalBilled=1 Monthly_Spend=2",
    );
    check_with(
        &known,
        &[],
        r#"{"totalBilled":1,"total billed":2}"#,
        "total billed=2 totalBilled<total billed",
    );
}

#[test]
fn t5_a_mentioned_trait_is_found_by_fold_and_keeps_its_spelling() {
    let mut vocabulary = Vocabulary::default();
    let mention = vocabulary.intern("monthlySpend");
    assert_eq!(mention, vocabulary.intern("Monthly Spend"));
    assert!(matches!(mention, Mention::Trait(_)));
    assert_eq!(
        resolved(r#"{"monthly_spend":1,"MonthlySpend":2}"#, &vocabulary),
        "monthly_spend=1 MonthlySpend<monthly_spend"
    );
}

#[test]
fn t7_the_id_is_an_ordinary_trait() {
    check(
        r#"{"id":"a@example.com","Id":2}"#,
        r#"id="a@example.com" Id<id"#,
    );
}

#[test]
fn many_spellings_of_one_trait_take_linear_time() {
    let keys: Vec<String> = (0..10_000)
        .map(|index| {
            format!(
                r#""{}na_me{}":{index}"#,
                "_".repeat(index % 97),
                "-".repeat(index / 97)
            )
        })
        .collect();
    let text = format!("{{{}}}", keys.join(","));
    assert!(resolved(&text, &Vocabulary::default()).starts_with("name=0 "));
}
