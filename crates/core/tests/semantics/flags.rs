//! F: integration flags. How flags are matched has rows of its own in `src/flags.rs`; these are about what it does to events.

use groupcast_core::consent::Missing;
use groupcast_core::destination::Conditions;
use groupcast_core::diagnostic::Diagnostics;
use groupcast_core::flags::FlagMatch;
use groupcast_core::yaml::{self, Fields};

use crate::routing::{Setup, operation, record, told};

/// Returns Mixpanel-like `one` and its named second instance `two`, opt-in `sales`, and `hook`, whose bodies are their names.
fn setup() -> Setup {
    let text = |name: &str, more: &str| {
        format!(
            "name: {name}\n{more}\n{}",
            operation(&format!("{{ to: {name}, options: \"${{options}}\" }}"))
        )
    };
    let one = text("One", "aliases: [One (Actions), Uno]");
    Setup::new()
        .with("one", &one)
        .with("one", &one)
        .named("two")
        .with("sales", &text("Sales Force", "enabled_by_default: false"))
        .with("hook", &text("constructor", ""))
        .changed(|routing| routing.known_names = ["O-N-E", "Elsewhere"].map(str::to_owned).to_vec())
}

const ONE: &str = r#"{"to":"One"}"#;
const SALES: &str = r#"{"to":"Sales Force"}"#;
const HOOK: &str = r#"{"to":"constructor"}"#;
const FALSE: &str = "skipped flag_false";
const OPT_IN: &str = "skipped opt_in";
const ALL_FALSE: &str = "skipped all_false";

#[track_caller]
fn check_with(setup: Setup, integrations: &str, expected: &[&str]) {
    let event = format!(r#"{{"type":"group","groupId":"g","integrations":{integrations}}}"#);
    assert_eq!(
        told(&setup.router(), &record(Some(event.as_bytes()))),
        expected.join(" "),
        "{integrations}"
    );
}

#[track_caller]
fn check(integrations: &str, expected: &[&str]) {
    check_with(setup(), integrations, expected);
}

#[test]
fn f1_every_destination_unless_something_says_otherwise() {
    check("{}", &[ONE, ONE, OPT_IN, HOOK]);
    check(r#"{"All":true}"#, &[ONE, ONE, OPT_IN, HOOK]);
    check(r#"{"All":false}"#, &[ALL_FALSE; 4]);
    check(
        r#"{"All":false,"Uno":true}"#,
        &[ONE, ONE, ALL_FALSE, ALL_FALSE],
    );
    check(r#"{"One":false}"#, &[FALSE, FALSE, OPT_IN, HOOK]);
}

#[test]
fn f2_an_opt_in_destination_only_by_its_own_flag() {
    check(
        r#"{"All":true,"Sales Force":true}"#,
        &[ONE, ONE, SALES, HOOK],
    );
    check(r#"{"salesforce":true}"#, &[ONE, ONE, SALES, HOOK]);
    check(r#"{"Sales Force":false}"#, &[ONE, ONE, FALSE, HOOK]);
    check(
        r#"{"Sales Force":null}"#,
        &[ONE, ONE, OPT_IN, HOOK, "~flag_invalid:Sales Force"],
    );
}

#[test]
fn f2_the_configuration_decides_for_an_instance() {
    let mut changed = setup();
    changed.change_last(|hook| hook.enabled_by_default = Some(false));
    changed.routing.destinations[2].enabled_by_default = Some(true);
    check_with(changed, "{}", &[ONE, ONE, SALES, OPT_IN]);
    let mut changed = setup();
    changed.change_last(|hook| hook.enabled_by_default = Some(false));
    check_with(
        changed,
        r#"{"All":true,"constructor":true}"#,
        &[ONE, ONE, OPT_IN, HOOK],
    );
}

#[test]
fn f3_an_object_includes_and_is_the_options() {
    let with_options = r#"{"to":"One","options":{"a":[1 ]}}"#;
    check(
        r#"{"All":false,"One":{"a":[1 ]}}"#,
        &[with_options, with_options, ALL_FALSE, ALL_FALSE],
    );
    check(
        r#"{"One":{}}"#,
        &[
            r#"{"to":"One","options":{}}"#,
            r#"{"to":"One","options":{}}"#,
            OPT_IN,
            HOOK,
        ],
    );
    check(
        r#"{"Sales Force":{"x":1}}"#,
        &[ONE, ONE, r#"{"to":"Sales Force","options":{"x":1}}"#, HOOK],
    );
    // PHP writes an empty object as an empty array.
    for value in ["[]", "[ ]"] {
        check(
            &format!(r#"{{"One":{value}}}"#),
            &[
                r#"{"to":"One","options":{}}"#,
                r#"{"to":"One","options":{}}"#,
                OPT_IN,
                HOOK,
            ],
        );
        check(value, &[ONE, ONE, OPT_IN, HOOK]);
    }
    for (text, hook) in [
        ("true", HOOK),
        ("True", HOOK),
        ("FALSE", FALSE),
        ("false", FALSE),
        (r"f\u0061lse", FALSE),
    ] {
        check(
            &format!(r#"{{"constructor":"{text}"}}"#),
            &[ONE, ONE, OPT_IN, hook],
        );
    }
    check(
        r#"{"All":"false","one":"True"}"#,
        &[ONE, ONE, ALL_FALSE, ALL_FALSE],
    );
    for value in [
        "null",
        "\"\"",
        "\"yes\"",
        "\" true\"",
        "\"\\ud800\"",
        "1",
        "[1]",
    ] {
        check(
            &format!(r#"{{"constructor":{value}}}"#),
            &[ONE, ONE, OPT_IN, HOOK, "~flag_invalid:constructor"],
        );
    }
    for integrations in ["[{}]", "\"All\"", "false", "0"] {
        check(
            integrations,
            &[ONE, ONE, OPT_IN, HOOK, "~flag_invalid:integrations"],
        );
    }
    check("null", &[ONE, ONE, OPT_IN, HOOK]);
}

#[test]
fn f3_options_reach_expressions() {
    let text = "name: One\n".to_owned()
        + &operation("{ a: \"${options.a.b}\", t: \"${traits | if options.keep}\" }");
    let check_options = |options: &str, expected: &str| {
        check_with(
            Setup::new().with("one", &text),
            &format!(r#"{{"one":{options}}}"#),
            &[expected],
        )
    };
    check_options(r#"{"a":{"b":1},"keep":true}"#, r#"{"a":1,"t":{}}"#);
    check_options(r#"{"a":{"b":null},"keep":false}"#, r#"{"a":null}"#);
    check_options(r#"{"a":1}"#, "{}");
}

#[test]
fn f4_the_first_valid_in_rank_decides() {
    // The instance's name, where the configuration writes one.
    check(r#"{"two":false,"One":true}"#, &[ONE, FALSE, OPT_IN, HOOK]);
    check(r#"{"one":false,"One":true}"#, &[ONE, ONE, OPT_IN, HOOK]);
    // The definition's name, then its aliases in the file's order.
    check(
        r#"{"Uno":true,"One (Actions)":true,"One":false}"#,
        &[FALSE, FALSE, OPT_IN, HOOK],
    );
    check(
        r#"{"Uno":true,"One (Actions)":false}"#,
        &[FALSE, FALSE, OPT_IN, HOOK],
    );
    check(
        r#"{"Uno":false,"One (Actions)":"no"}"#,
        &[FALSE, FALSE, OPT_IN, HOOK, "~flag_invalid:One (Actions)"],
    );
    // By fold, where one exclusion outweighs any inclusion.
    check(
        r#"{"ONE":true,"o n e":false,"UNO":true}"#,
        &[FALSE, FALSE, OPT_IN, HOOK],
    );
    check(r#"{"ONE":false,"Uno":true}"#, &[ONE, ONE, OPT_IN, HOOK]);
    check(r#"{"TWO":false}"#, &[ONE, FALSE, OPT_IN, HOOK]);
    // `All`, then the default.
    check(
        r#"{"ONE":true,"All":false}"#,
        &[ONE, ONE, ALL_FALSE, ALL_FALSE],
    );
}

#[test]
fn f4_a_known_name_is_never_used_by_fold_for_another() {
    check(
        r#"{"O-N-E":false,"Elsewhere":false}"#,
        &[ONE, ONE, OPT_IN, HOOK],
    );
}

#[test]
fn f4_an_instances_name_speaks_by_fold_for_the_definition_too() {
    // `one` is what the configuration calls the second instance, and by fold it is the first one's definition.
    let named = |setup: Setup| setup.named("one");
    let text = "name: One\n".to_owned() + &operation("{ to: One }");
    check_with(
        named(Setup::new().with("one", &text).with("one", &text)),
        r#"{"one":false}"#,
        &[FALSE, FALSE],
    );
    check_with(
        named(Setup::new().with("one", &text).with("one", &text)),
        r#"{"one":false,"One":true}"#,
        &[ONE, FALSE],
    );
}

#[test]
fn f4_exact_leaves_the_fold_out() {
    let exact = || setup().changed(|routing| routing.flag_match = FlagMatch::Exact);
    check_with(
        exact(),
        r#"{"ONE":false}"#,
        &[ONE, ONE, OPT_IN, HOOK, "~flag_unknown:ONE"],
    );
    check_with(
        exact(),
        r#"{"One":false,"all":false}"#,
        &[FALSE, FALSE, ALL_FALSE, ALL_FALSE],
    );
}

#[test]
fn f5_all_is_exact_if_valid_else_by_fold() {
    check(r#"{"all":false}"#, &[ALL_FALSE; 4]);
    check(r#"{"all":false,"All":true}"#, &[ONE, ONE, OPT_IN, HOOK]);
    check(
        r#"{"ALL":false,"All":"x"}"#,
        &[
            ALL_FALSE,
            ALL_FALSE,
            ALL_FALSE,
            ALL_FALSE,
            "~flag_invalid:All",
        ],
    );
    check(r#"{"ALL":true,"a l l":false}"#, &[ALL_FALSE; 4]);
}

#[test]
fn f5_an_object_includes_and_is_the_options_of_whom_all_decides_for() {
    let of = |name: &str| format!(r#"{{"to":"{name}","options":{{"a":1}}}}"#);
    check(
        r#"{"All":{"a":1},"two":true}"#,
        &[&of("One"), ONE, OPT_IN, &of("constructor")],
    );
}

#[test]
fn f6_a_definitions_flag_speaks_for_all_its_instances() {
    check(r#"{"One (Actions)":false}"#, &[FALSE, FALSE, OPT_IN, HOOK]);
}

#[test]
fn f7_context_is_no_place_for_flags_and_names_are_names() {
    let event =
        br#"{"type":"group","groupId":"g","context":{"integrations":{"All":false,"One":false}}}"#;
    assert_eq!(
        told(&setup().router(), &record(Some(event))),
        [ONE, ONE, OPT_IN, HOOK].join(" ")
    );
    check(r#"{"constructor":false}"#, &[ONE, ONE, OPT_IN, FALSE]);
    check(
        r#"{"toString":false,"__proto__":false}"#,
        &[
            ONE,
            ONE,
            OPT_IN,
            HOOK,
            "~flag_unknown:toString ~flag_unknown:__proto__",
        ],
    );
}

#[test]
fn f8_a_flag_that_names_nobody_is_counted() {
    check(
        r#"{"Onee":false,"":false}"#,
        &[ONE, ONE, OPT_IN, HOOK, "~flag_unknown:Onee ~flag_unknown:"],
    );
}

#[test]
fn f9_each_decision_has_its_code() {
    let text = |operation: &str| {
        format!("operations:\n  - {{ id: op, request: POST /, body: 1, {operation} }}\n")
    };
    for (definition, integrations, code) in [
        (text("idempotent: true"), r#"{"All":false}"#, "all_false"),
        (text("idempotent: true"), r#"{"d":false}"#, "flag_false"),
        (
            text("idempotent: true") + "enabled_by_default: false\n",
            "{}",
            "opt_in",
        ),
        (text("when: \"${member}\""), "{}", "no_member"),
        (text("when: \"${traits.x}\""), "{}", "nothing_to_send"),
        (text("unless: \"${groupId}\""), "{}", "nothing_to_send"),
        (text("require: \"${traits.x}\""), "{}", "missing_required"),
    ] {
        check_with(
            Setup::new().with("d", &definition),
            integrations,
            &[&format!("skipped {code}")],
        );
    }
}

/// Returns `ads` and `both`, which need consent for one category and for two, and `none`.
fn consenting(missing: Missing) -> Setup {
    let named = |setup: Setup, id: &str, categories: &[&str]| {
        let mut setup = setup.with(id, &operation(&format!("{{ to: {id} }}")));
        let categories = categories.iter().map(ToString::to_string).collect();
        setup.change_last(|instance| instance.consent = categories);
        setup
    };
    let setup = named(Setup::new(), "ads", &["Marketing"]);
    let setup = named(setup, "both", &["Marketing", "Analytics"]);
    named(setup, "none", &[]).changed(|routing| routing.missing_consent = missing)
}

#[test]
fn f10_consent_outweighs_flags() {
    const ADS: &str = r#"{"to":"ads"}"#;
    const BOTH: &str = r#"{"to":"both"}"#;
    const NONE: &str = r#"{"to":"none"}"#;
    const DENIED: &str = "skipped consent_denied";
    let check = |missing: Missing, members: &str, expected: [&str; 3]| {
        let event = format!(r#"{{"type":"group","groupId":"g",{members}}}"#);
        assert_eq!(
            told(
                &consenting(missing).router(),
                &record(Some(event.as_bytes()))
            ),
            expected.join(" "),
            "{missing:?} {members}"
        );
    };
    let preferences =
        |text: &str| format!(r#""context":{{"consent":{{"categoryPreferences":{text}}}}}"#);
    for (text, allow, deny) in [
        (
            r#"{"Marketing":true,"Analytics":true}"#,
            [ADS, BOTH, NONE],
            [ADS, BOTH, NONE],
        ),
        (
            r#"{"Marketing":false,"Analytics":true}"#,
            [DENIED, DENIED, NONE],
            [DENIED, DENIED, NONE],
        ),
        (
            r#"{"Marketing":true,"Analytics":false}"#,
            [ADS, DENIED, NONE],
            [ADS, DENIED, NONE],
        ),
        (
            r#"{"Marketing":true}"#,
            [ADS, BOTH, NONE],
            [ADS, DENIED, NONE],
        ),
        // A denial is lost neither to spelling nor to quotes.
        (
            r#"{"marketing":"False"}"#,
            [DENIED, DENIED, NONE],
            [DENIED, DENIED, NONE],
        ),
        (
            r#"{"Marketing":true,"MARKETING":false}"#,
            [DENIED, DENIED, NONE],
            [DENIED, DENIED, NONE],
        ),
        // What is no preference is missing.
        (
            r#"{"Marketing":null,"Analytics":1}"#,
            [ADS, BOTH, NONE],
            [DENIED, DENIED, NONE],
        ),
        ("{}", [ADS, BOTH, NONE], [DENIED, DENIED, NONE]),
        ("[]", [ADS, BOTH, NONE], [DENIED, DENIED, NONE]),
    ] {
        check(Missing::Allow, &preferences(text), allow);
        check(Missing::Deny, &preferences(text), deny);
    }
    for members in [
        r#""userId":"u""#,
        r#""context":null"#,
        r#""context":[]"#,
        r#""context":{"consent":true}"#,
    ] {
        check(
            Missing::Allow,
            &members.replace(r#""userId":"u""#, r#""x":1"#),
            [ADS, BOTH, NONE],
        );
        check(Missing::Deny, members, [DENIED, DENIED, NONE]);
    }
    let denied = preferences(r#"{"Marketing":false}"#);
    for flags in [
        r#"{"All":true}"#,
        r#"{"ads":true,"both":{"a":1}}"#,
        r#"{"ads":false,"both":false}"#,
    ] {
        check(
            Missing::Allow,
            &format!(r#"{denied},"integrations":{flags}"#),
            [DENIED, DENIED, NONE],
        );
    }
    let text = "dead_lettered invalid_string";
    check(
        Missing::Allow,
        &preferences(r#"{"\ud800":true}"#),
        [text, text, NONE],
    );
}

/// Returns `d`, which only events reach that these conditions let pass.
fn conditional(when: &str) -> Setup {
    let mut setup = Setup::new().with(
        "d",
        &operation("{ name: \"${traits.name}\", id: \"${groupId}\" }"),
    );
    setup.change_last(|instance| {
        let mut diagnostics = Diagnostics::new("config");
        let node = yaml::parse(&format!("when: {when}"), &mut diagnostics).expect("YAML");
        let mut fields = Fields::new(&node, "", &mut diagnostics);
        let (definition, settings) = (&instance.definition, &instance.settings);
        instance.when = Conditions::read(&mut fields, definition, settings, &mut diagnostics);
        assert_eq!(diagnostics.into_sorted(), [], "{when}");
    });
    setup
}

#[test]
fn f11_an_expression_over_the_event_filters() {
    const SENT: &str = r#"{"id":"g"}"#;
    const NAMED: &str = r#"{"name":"N","id":"g"}"#;
    const FILTERED: &str = "skipped filtered";
    for (when, members, expected) in [
        ("${traits.name}", r#""traits":{"Name":"N"}"#, NAMED),
        ("${traits.name}", r#""traits":{"Name":""}"#, FILTERED),
        ("${traits.name}", r#""traits":{}"#, FILTERED),
        (
            r#"${traits.plan | if traits.plan "gold" "silver"}"#,
            r#""traits":{"plan":"silver"}"#,
            SENT,
        ),
        (
            r#"${traits.plan | if traits.plan "gold" "silver"}"#,
            r#""traits":{"plan":"free"}"#,
            FILTERED,
        ),
        (
            "${context.internal}",
            r#""context":{"internal":true}"#,
            SENT,
        ),
        (
            "${context.internal}",
            r#""context":{"internal":false}"#,
            FILTERED,
        ),
        // Of several, all must be present.
        (
            "[\"${userId}\", \"${traits.name}\"]",
            r#""userId":"u","traits":{"name":"N"}"#,
            NAMED,
        ),
        (
            "[\"${userId}\", \"${traits.name}\"]",
            r#""traits":{"name":"N"}"#,
            FILTERED,
        ),
        ("[]", r#""traits":{}"#, SENT),
        // Its faults are not the destination's: nothing is noted.
        (
            "${traits.employees}",
            r#""traits":{"employees":"many"}"#,
            FILTERED,
        ),
        ("${options.on}", r#""integrations":{"d":{"on":1}}"#, SENT),
        // The flag is asked first.
        (
            "${traits.name}",
            r#""integrations":{"d":false}"#,
            "skipped flag_false",
        ),
        (
            "${context.x.y}",
            r#""context":{"x":{"\ud800":1}}"#,
            "dead_lettered invalid_string",
        ),
    ] {
        let event = format!(r#"{{"type":"group","groupId":"g",{members}}}"#);
        let router = conditional(when).router();
        assert_eq!(
            told(&router, &record(Some(event.as_bytes()))),
            expected,
            "{when} {members}"
        );
    }
    // What the destination does not get may decide all the same.
    let mut setup = conditional("${traits.name}");
    setup.change_last(|instance| instance.traits.deny = vec!["name".to_owned()]);
    let event = br#"{"type":"group","groupId":"g","traits":{"name":"N"}}"#;
    assert_eq!(
        told(&setup.router(), &record(Some(event))),
        format!("{SENT} ~trait_denied:name")
    );
}
