//! The rule book, docs/semantics.md, and what cites it: every id that anybody cites is a rule, and every rule has a test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use groupcast::verdict::{NoteCode, Reason};

const BOOK: &str = "docs/semantics.md";

/// Where rules may be cited.
const CITING: [&str; 18] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "Cargo.toml",
    "justfile",
    ".cargo",
    ".ci",
    ".github",
    "benches",
    "crates",
    "deploy",
    "docs",
    "examples",
    "fuzz/targets",
    "src",
    "tests",
];

/// A rule is a heading: its id, then what it is about.
#[derive(Debug)]
struct Rule {
    id: String,
    title: String,
    text: String,
}

#[test]
fn ids_are_unique_and_in_order() {
    let mut last: BTreeMap<char, (usize, usize)> = BTreeMap::new();
    let mut letters = Vec::new();
    for rule in rules() {
        let (letter, number) = (
            rule.id.chars().next().unwrap(),
            rule.id[1..].parse::<usize>().unwrap(),
        );
        if !letters.contains(&letter) {
            letters.push(letter);
        }
        let place = letters.len();
        let (before, letters_place) = last.insert(letter, (number, place)).unwrap_or((0, place));
        assert!(
            number > before && place == letters_place,
            "{} {} is out of order",
            rule.id,
            rule.title
        );
        assert!(!rule.text.trim().is_empty(), "{} says nothing", rule.id);
    }
}

#[test]
fn every_cited_id_is_a_rule() {
    let ids: BTreeSet<String> = rules().into_iter().map(|rule| rule.id).collect();
    let mut faults = Vec::new();
    // What vendors take is in their words.
    let is_ours = |file: &File| !file.name.contains("destinations/accepts/");
    for file in files(&CITING).into_iter().filter(is_ours) {
        for (line, text) in (1..).zip(file.text.lines()) {
            faults.extend(
                cited(text)
                    .filter(|id| !ids.contains(id))
                    .map(|id| format!("{}:{line}: no such rule: {id}", file.name)),
            );
        }
        for name in test_names(&file.text) {
            let id = id_of(name).filter(|id| !ids.contains(id));
            faults.extend(id.map(|id| format!("{}: {name}: no such rule: {id}", file.name)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A test whose name begins with the id pins the rule. What holds over a whole run (I) is judged by the model and the checker, which say
/// the id where they do so.
#[test]
fn every_rule_has_a_test() {
    let mut pinned = BTreeSet::new();
    for file in files(&["crates", "src", "tests"]) {
        pinned.extend(test_names(&file.text).filter_map(id_of));
        if file.name.contains("tests/") || file.name.ends_with("/tests.rs") {
            pinned.extend(
                file.text
                    .lines()
                    .flat_map(cited)
                    .filter(|id| id.starts_with('I')),
            );
        }
    }
    let lacking: Vec<String> = rules()
        .into_iter()
        .filter(|rule| !pinned.contains(&rule.id))
        .map(|rule| format!("{} {}", rule.id, rule.title))
        .collect();
    assert!(
        lacking.is_empty(),
        "no test's name begins with the id of\n{}",
        lacking.join("\n")
    );
}

#[test]
fn f9_every_code_is_in_a_rule() {
    let rules = rules();
    let codes = Reason::ALL
        .iter()
        .map(|reason| reason.code())
        .chain(NoteCode::ALL.iter().map(|note| note.code()));
    let lacking: Vec<&str> = codes
        .filter(|code| {
            rules
                .iter()
                .all(|rule| !rule.text.contains(&format!("`{code}`")))
        })
        .collect();
    assert!(
        lacking.is_empty(),
        "{BOOK} has no rule that says when this happens: {lacking:?}"
    );
}

fn rules() -> Vec<Rule> {
    let page = fs::read_to_string(BOOK).unwrap();
    let mut rules: Vec<Rule> = Vec::new();
    for line in page.lines() {
        let heading = line
            .strip_prefix("### ")
            .and_then(|heading| heading.split_once(' '));
        match (heading.filter(|(id, _)| is_id(id)), rules.last_mut()) {
            (Some((id, title)), _) => {
                rules.push(Rule {
                    id: id.to_owned(),
                    title: title.to_owned(),
                    text: String::new(),
                });
            }
            // The codes' tables follow the last rule.
            (None, _) if line == "## Codes" => break,
            (None, Some(rule)) => rule.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(rules.len() > 50, "the rules of {BOOK} were not found");
    rules
}

/// The letters that ids begin with.
const LETTERS: &str = "ETNDPFKRI";

fn is_id(word: &str) -> bool {
    let number = word
        .strip_prefix(|letter| LETTERS.contains(letter))
        .unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the ids in a line. An id with a small letter behind it is returned, too: it is not a rule, and so a fault.
fn cited(line: &str) -> impl Iterator<Item = String> {
    let words = line.split(|character: char| !character.is_alphanumeric());
    words
        .filter(|word| is_id(word.trim_end_matches(|letter: char| letter.is_ascii_lowercase())))
        .map(str::to_owned)
}

/// Returns the names of the functions that are tests.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|rest| {
        let (_, function) = rest.split_once("fn ")?;
        function.split('(').next()
    })
}

/// Returns the id of the rule that a test pins, by its name: `f4_a_folded_exclusion`.
fn id_of(name: &str) -> Option<String> {
    let id = name.split('_').next()?.to_uppercase();
    is_id(&id).then_some(id)
}

struct File {
    name: String,
    text: String,
}

/// Returns the text files under these paths.
fn files(roots: &[&str]) -> Vec<File> {
    let mut paths = Vec::new();
    roots
        .iter()
        .for_each(|root| collect(Path::new(root), &mut paths));
    paths.sort();
    let read = |path: PathBuf| {
        Some(File {
            text: fs::read_to_string(&path).ok()?,
            name: path.to_string_lossy().into_owned(),
        })
    };
    let files: Vec<File> = paths.into_iter().filter_map(read).collect();
    assert!(files.len() > 50, "the tests run in the project's root");
    files
}

fn collect(path: &Path, paths: &mut Vec<PathBuf>) {
    if path.is_file() {
        paths.push(path.to_owned());
    } else if path.is_dir() {
        fs::read_dir(path)
            .unwrap()
            .for_each(|entry| collect(&entry.unwrap().path(), paths));
    }
}
