//! docs/adding-a-destination.md, done as a newcomer would: its files are written, its commands run, and what they print compared.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_guide_can_be_followed() {
    let folder = tempfile::tempdir().unwrap();
    let guide = fs::read_to_string("docs/adding-a-destination.md").unwrap();
    let (mut n_files, mut n_commands) = (0, 0);
    for (title, text) in blocks(&guide) {
        match title.split_once(' ') {
            Some((_, file)) => {
                let file = folder.path().join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
                n_files += 1;
            }
            None if title == "console" => {
                follow(&text, folder.path());
                n_commands += 1;
            }
            None => {}
        }
    }
    assert_eq!(
        (n_files, n_commands),
        (3, 2),
        "the guide's blocks were not found"
    );
}

#[test]
fn the_guides_slip_is_reported_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let guide = fs::read_to_string("docs/adding-a-destination.md").unwrap();
    let of = |wanted: &str| {
        blocks(&guide)
            .into_iter()
            .find(|(title, _)| title == wanted)
            .unwrap()
            .1
    };
    fs::create_dir(folder.path().join("definitions")).unwrap();
    let slip = of("yaml definitions/acme.yaml").replace("unix_seconds", "unix_second");
    fs::write(folder.path().join("definitions/acme.yaml"), slip).unwrap();
    fs::write(
        folder.path().join("groupcast.yaml"),
        of("yaml groupcast.yaml"),
    )
    .unwrap();
    let printed = run("groupcast check -c groupcast.yaml", folder.path());
    assert!(printed.contains(&of("text")), "{printed}");
}

/// Runs a block's command; what the block shows after it must be what is printed, but for what `…` stands for.
fn follow(block: &str, folder: &Path) {
    let (command, shown) = block.split_once('\n').unwrap();
    let printed = run(command.strip_prefix("$ ").unwrap(), folder);
    let (omitted, shown) = shown
        .strip_prefix("…\n")
        .map_or((false, shown), |rest| (true, rest));
    let is_as_shown = if omitted {
        printed.ends_with(shown)
    } else {
        printed == shown
    };
    assert!(is_as_shown, "{command} printed:\n{printed}");
}

fn run(command: &str, folder: &Path) -> String {
    let arguments = command.strip_prefix("groupcast ").unwrap().split(' ');
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    [output.stdout, output.stderr]
        .map(|text| String::from_utf8(text).unwrap())
        .concat()
}

/// Returns the fenced blocks: what stands behind the fence, and the text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut parts = page.split("```");
    parts.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        let (title, text) = block.split_once('\n').unwrap();
        blocks.push((title.to_owned(), text.to_owned()));
    }
    blocks
}
