//! `groupcast destinations`: the catalogue, and one definition with all that a sender needs to know.

use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::backfill::before_now;
use super::report::Failure;
use crate::destination::{
    self, Batch, Catalogue, Definition, Encoding, Layout, Membership, NullPolicy, SettingSpec,
    SettingValue,
};
use crate::diagnostic::nearest;

/// Lists the built-in destinations, or shows one: its operations, limits and settings
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The id of one, like mixpanel
    name: Option<String>,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
    /// Write the JSON Schema of definitions, for editors
    #[arg(long, conflicts_with_all = ["name", "json"])]
    schema: bool,
    /// List those whose vendor's pages were last read so long ago, like 180d, or on no known day
    #[arg(long, value_name = "AGE", conflicts_with_all = ["name", "json", "schema"], value_parser = age)]
    stale: Option<Timestamp>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let catalogue = Catalogue::built_in();
    let mut out = io::stdout().lock();
    if arguments.schema {
        writeln!(out, "{:#}", destination::schema())?;
        return Ok(());
    }
    if let Some(since) = arguments.stale {
        return Ok(list_stale(&catalogue, since, &mut out)?);
    }
    match &arguments.name {
        Some(id) => {
            let definition = catalogue.get(id).ok_or_else(|| unknown(id, &catalogue))?;
            if arguments.json {
                writeln!(out, "{:#}", as_json(definition))?
            } else {
                show(definition, &mut out)?
            }
        }
        None if arguments.json => {
            let all: Vec<Value> = catalogue
                .iter()
                .map(|definition| as_json(definition))
                .collect();
            writeln!(out, "{:#}", Value::from(all))?;
        }
        None => list(&catalogue, &mut out)?,
    }
    Ok(())
}

/// Reads an age; returns the moment so long ago.
fn age(text: &str) -> Result<Timestamp, String> {
    before_now(text).ok_or_else(|| "expected an age like 180d".to_owned())
}

fn list_stale(catalogue: &Catalogue, since: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let since = since.strftime("%Y-%m-%d").to_string();
    for definition in catalogue.iter() {
        // Days of this form compare as texts.
        match &definition.read {
            Some(day) if *day >= since => {}
            Some(day) => writeln!(out, "{:<12} read on {day}", definition.id)?,
            None => writeln!(out, "{:<12} read on no known day", definition.id)?,
        }
    }
    Ok(())
}

fn unknown(id: &str, catalogue: &Catalogue) -> Failure {
    let near = nearest(
        id,
        catalogue.iter().map(|definition| definition.id.as_str()),
    );
    let hint = near.map_or_else(String::new, |near| {
        format!("\n  hint: did you mean: {near}")
    });
    Failure::Argument(format!("unknown destination: {id}{hint}"))
}

fn list(catalogue: &Catalogue, out: &mut impl Write) -> io::Result<()> {
    for definition in catalogue.iter() {
        let opt_in = if definition.enabled_by_default {
            ""
        } else {
            " (opt-in)"
        };
        writeln!(
            out,
            "{:<12} {}{opt_in}\n{:12} {}",
            definition.id, definition.name, "", definition.about
        )?;
        let calls: Vec<&str> = definition
            .operations
            .iter()
            .map(|operation| operation.id.as_str())
            .collect();
        let (membership, nulls) = (
            word(Membership::WORDS, definition.membership),
            word(NullPolicy::WORDS, definition.nulls),
        );
        writeln!(
            out,
            "{:12} {}; membership {membership}, nulls {nulls}",
            "",
            calls.join(", ")
        )?;
        if !definition.settings.is_empty() {
            let settings: Vec<String> = definition.settings.iter().map(brief).collect();
            writeln!(out, "{:12} settings {}", "", settings.join(", "))?;
        }
    }
    writeln!(
        out,
        "\n(*) required. All of one: groupcast destinations NAME"
    )
}

fn brief(setting: &SettingSpec) -> String {
    format!(
        "{}{}",
        setting.name,
        if setting.is_required { "*" } else { "" }
    )
}

fn show(definition: &Definition, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{} ({})\n{}\n",
        definition.name, definition.id, definition.about
    )?;
    writeln!(
        out,
        "flags       {}",
        [std::slice::from_ref(&definition.name), &definition.aliases]
            .concat()
            .join(", ")
    )?;
    writeln!(
        out,
        "by default  {}",
        if definition.enabled_by_default {
            "included"
        } else {
            "opt-in: only by a flag of its own"
        }
    )?;
    writeln!(
        out,
        "membership  {}",
        word(Membership::WORDS, definition.membership)
    )?;
    writeln!(
        out,
        "nulls       {}",
        word(NullPolicy::WORDS, definition.nulls)
    )?;
    writeln!(out, "\noperations")?;
    for operation in &definition.operations {
        let repeat = if operation.is_idempotent {
            ""
        } else {
            ", not idempotent"
        };
        writeln!(
            out,
            "  {:<22} {}\n  {:22} {}{repeat}",
            operation.id,
            operation.request(),
            "",
            describe(&operation.batch)
        )?;
    }
    writeln!(out, "\nsettings")?;
    for setting in &definition.settings {
        let default = setting.default.as_ref().map_or_else(
            || "required".to_owned(),
            |value| format!("default {}", shown(value)),
        );
        writeln!(
            out,
            "  {:<22} {}, {default}\n  {:22} {}",
            setting.name,
            setting.setting_type.word(),
            "",
            setting.about
        )?;
    }
    writeln!(out, "\n{}\n", definition.notes.trim())?;
    definition
        .docs
        .iter()
        .try_for_each(|page| writeln!(out, "{page}"))
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words
        .iter()
        .find(|(_, other)| *other == value)
        .map_or("", |(word, _)| *word)
}

fn describe(batch: &Batch) -> String {
    let layout = match &batch.layout {
        Layout::Single if batch.encoding == Encoding::FormFields => {
            return "one item a request, as a form".to_owned();
        }
        Layout::Single => return "one item a request".to_owned(),
        Layout::Array => "an array".to_owned(),
        Layout::ArrayIn(field) => format!("an array in `{field}`"),
    };
    let records = batch
        .records
        .map(|records| format!(" of at most {records} items"));
    let bytes = batch.bytes.map(|bytes| format!(", at most {bytes} bytes"));
    let form = match &batch.encoding {
        Encoding::Json | Encoding::FormFields => String::new(),
        Encoding::Form(field) => format!(", in the form field `{field}`"),
    };
    format!(
        "{layout}{}{}{form}",
        records.unwrap_or_default(),
        bytes.unwrap_or_default()
    )
}

fn shown(value: &SettingValue) -> String {
    value.as_json().to_string()
}

fn as_json(definition: &Definition) -> Value {
    json!({
        "id": definition.id,
        "name": definition.name,
        "aliases": definition.aliases,
        "about": definition.about,
        "docs": definition.docs,
        "read": definition.read,
        "notes": definition.notes,
        "enabled_by_default": definition.enabled_by_default,
        "membership": word(Membership::WORDS, definition.membership),
        "nulls": word(NullPolicy::WORDS, definition.nulls),
        "settings": definition.settings.iter().map(setting_spec_json).collect::<Vec<_>>(),
        "operations": definition.operations.iter().map(|operation| json!({
            "id": operation.id,
            "type": format!("{}.{}", definition.id, operation.id),
            "request": operation.request(),
            "idempotent": operation.is_idempotent,
            "key": if operation.is_keyed_by_member { "member" } else { "group" },
            "batch": operation.batch.as_json(),
        })).collect::<Vec<_>>(),
    })
}

fn setting_spec_json(setting: &SettingSpec) -> Value {
    json!({
        "name": setting.name,
        "type": setting.setting_type.word(),
        "required": setting.is_required,
        "secret": setting.is_secret,
        "default": setting.default.as_ref().map(SettingValue::as_json),
        "about": setting.about,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_day_is_listed() {
        let listed = |since: Timestamp| {
            let mut out = Vec::new();
            list_stale(&Catalogue::built_in(), since, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(listed(Timestamp::MIN), "");
        let all = listed(Timestamp::MAX);
        assert!(all.contains("mixpanel     read on 2026-"), "{all}");
    }
}
