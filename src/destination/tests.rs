use super::*;

#[test]
fn every_built_in_definition_parses() {
    let mut n_files = 0;
    for file in Files::iter() {
        let text = Files::get(&file).unwrap().data;
        let definition = Definition::parse("x", &file, std::str::from_utf8(&text).unwrap());
        if let Err(diagnostics) = definition {
            let lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            panic!("{}", lines.join("\n"));
        }
        n_files += 1;
    }
    assert!(n_files >= 6, "{n_files}");
}
