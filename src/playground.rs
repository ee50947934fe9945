//! The playground: what becomes of an event for destinations whose definitions and settings are being edited, told by the
//! router that runs. Nothing is kept between two questions, and no question names a file or reaches a network.

mod settings;

use std::fs;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::settings::{read_settings, settings_text};
use crate::destination::{self, Catalogue, Definition, Instance};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, has_errors};
use crate::examples;
use crate::explanation::layout::{self, Line};
use crate::explanation::{Explanation, explain};
use crate::record::{Position, Record};
use crate::router::{Router, Routing};

/// The destinations that are chosen at first where there is no configuration.
const FIRST_CHOICE: [&str; 6] = [
    "mixpanel",
    "salesforce",
    "hubspot",
    "customerio",
    "intercom",
    "webhook",
];

/// The source topic where there is no configuration.
const SOURCE: &str = "group-events";

/// All that a page offers, and answers its questions.
pub struct Playground {
    /// What is not a destination: names of traits, how flags match, limits.
    routing: Routing,
    offers: Vec<Offer>,
    samples: Vec<Sample>,
}

/// One destination as it is before anybody edits it.
struct Offer {
    instance: Instance,
    definition: String,
    settings: String,
    is_chosen: bool,
}

/// An event to begin with.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// What it shows.
    pub title: &'static str,
    /// The event, or what is none.
    pub event: String,
}

/// What the page shows before the first question.
#[derive(Debug, Serialize)]
pub struct Offered<'a> {
    destinations: Vec<OfferedDestination<'a>>,
    samples: &'a [Sample],
}

#[derive(Debug, Serialize)]
struct OfferedDestination<'a> {
    /// Its name among the destinations.
    name: &'a str,
    /// What flags call it.
    flag: &'a str,
    about: &'a str,
    docs: &'a [String],
    is_chosen: bool,
    definition: &'a str,
    settings: &'a str,
}

/// A question of the page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The bytes of the record, which need be no event.
    event: String,
    /// The chosen destinations, in their order.
    destinations: Vec<Asked>,
}

/// A chosen destination, with what was edited.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    #[serde(default)]
    definition: Option<String>,
    #[serde(default)]
    settings: Option<String>,
}

/// What becomes of the event.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// What `explain --json` prints, without the destinations that have faults.
    explanation: Explanation,
    /// By destination and operation, in the explanation's order.
    bodies: Vec<Vec<Body>>,
    /// What is wrong with what was edited.
    faults: Vec<Fault>,
}

/// A body for eyes, and how a sender wraps it.
#[derive(Debug, Serialize)]
struct Body {
    lines: Vec<Line>,
    batch: Value,
}

/// What is wrong with a definition or its settings.
#[derive(Debug, Serialize)]
struct Fault {
    destination: String,
    /// `definition` or `settings`.
    part: String,
    /// `error` or `warning`.
    severity: &'static str,
    message: String,
    hint: Option<String>,
    place: Option<FaultPlace>,
}

#[derive(Debug, Serialize)]
struct FaultPlace {
    line: usize,
    column: usize,
    length: usize,
    /// The line itself.
    text: String,
}

impl Playground {
    /// Offers every definition of a catalogue, with settings that show most; secrets are named and not there.
    #[must_use]
    pub fn of_catalogue(catalogue: &Catalogue, samples: Vec<Sample>) -> Playground {
        let routing = Routing {
            source_topics: vec![SOURCE.to_owned()],
            known_names: catalogue
                .iter()
                .map(|definition| definition.name.clone())
                .collect(),
            ..Routing::default()
        };
        let offer = |definition: &Arc<Definition>| {
            let text = settings_text(definition, None);
            // Whatever is wrong with it shows as soon as the page asks.
            let settings = read_settings(definition, &text, &mut Diagnostics::new(SETTINGS));
            let instance = Instance::new(Arc::clone(definition), settings);
            Offer::new(
                instance,
                text,
                FIRST_CHOICE.contains(&definition.id.as_str()),
            )
        };
        Playground {
            routing,
            offers: catalogue.iter().map(offer).collect(),
            samples,
        }
    }

    /// Offers the destinations of a configuration, their secrets masked.
    #[must_use]
    pub fn of_routing(routing: Routing, mut samples: Vec<Sample>) -> Playground {
        let Routing { destinations, .. } = routing.clone().redacted();
        let offer = |instance: Instance| {
            let text = settings_text(&instance.definition, Some(&instance.settings));
            Offer::new(instance, text, true)
        };
        let offers = destinations.into_iter().map(offer).collect();
        let topic = routing.source_topics.first();
        if let Some(place) = topic.and_then(|topic| routing.event_at.get(topic)) {
            let placed = samples.iter_mut();
            placed.for_each(|sample| sample.event = place.around(&sample.event));
        }
        Playground {
            routing: Routing {
                destinations: Vec::new(),
                ..routing
            },
            offers,
            samples,
        }
    }

    /// Returns what there is to choose from.
    #[must_use]
    pub fn offered(&self) -> Offered<'_> {
        Offered {
            destinations: self.offers.iter().map(Offer::offered).collect(),
            samples: &self.samples,
        }
    }

    /// Says what becomes of an event. A destination that has a fault is left out, and the fault is told.
    ///
    /// # Errors
    /// A destination that is not offered, by its name.
    pub fn answer(&self, question: &Question) -> Result<Answer, String> {
        let (mut instances, mut faults) = (Vec::new(), Vec::new());
        for asked in &question.destinations {
            let offer = self
                .offers
                .iter()
                .find(|offer| offer.instance.name == asked.name);
            let offer = offer.ok_or_else(|| format!("no such destination: {}", asked.name))?;
            let (instance, found) = offer.edited(asked);
            instances.extend(instance);
            faults.extend(
                found
                    .iter()
                    .map(|diagnostic| offer.fault(asked, diagnostic)),
            );
        }
        let definitions: Vec<Arc<Definition>> = instances
            .iter()
            .map(|instance| Arc::clone(&instance.definition))
            .collect();
        let routing = Routing {
            destinations: instances,
            ..self.routing.clone()
        };
        // Each was compiled by itself already.
        let router = Router::new(routing)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<String>())?;
        let topic = self
            .routing
            .source_topics
            .first()
            .map_or(SOURCE, String::as_str);
        let record = Record::new(
            Position::first(topic),
            Some(question.event.trim_ascii().as_bytes()),
        );
        let explanation = explain(&router, &record);
        let bodies = bodies(&explanation, &definitions);
        Ok(Answer {
            explanation,
            bodies,
            faults,
        })
    }
}

/// Lays out each destination's bodies.
fn bodies(explanation: &Explanation, definitions: &[Arc<Definition>]) -> Vec<Vec<Body>> {
    let of_one = |(part, definition): (&crate::explanation::DestinationPart, &Arc<Definition>)| {
        let body = |operation: &crate::explanation::OperationPart| {
            let spec = definition
                .operations
                .iter()
                .find(|spec| spec.id == operation.operation);
            Body {
                lines: layout::lines(operation.body.get(), &operation.origins),
                batch: spec.map_or(Value::Null, |spec| spec.batch.as_json()),
            }
        };
        part.operations.iter().map(body).collect()
    };
    explanation
        .destinations
        .iter()
        .zip(definitions)
        .map(of_one)
        .collect()
}

/// What diagnostics call the two texts of a destination.
const DEFINITION: &str = "definition";
const SETTINGS: &str = "settings";

impl Offer {
    fn new(instance: Instance, settings: String, is_chosen: bool) -> Offer {
        let file = &instance.definition.file;
        let definition = destination::built_in_text(file)
            .or_else(|| fs::read_to_string(file).ok())
            .unwrap_or_default();
        Offer {
            instance,
            definition,
            settings,
            is_chosen,
        }
    }

    fn offered(&self) -> OfferedDestination<'_> {
        let Offer {
            instance:
                Instance {
                    name,
                    is_named,
                    definition: known,
                    ..
                },
            definition,
            settings,
            is_chosen,
        } = self;
        OfferedDestination {
            name,
            flag: if *is_named { name } else { &known.name },
            about: &known.about,
            docs: &known.docs,
            is_chosen: *is_chosen,
            definition,
            settings,
        }
    }

    /// Returns the destination as it was edited, absent where it cannot be used, and what is wrong with it.
    fn edited(&self, asked: &Asked) -> (Option<Instance>, Vec<Diagnostic>) {
        let Asked {
            definition,
            settings,
            ..
        } = asked;
        if definition.is_none() && settings.is_none() {
            return (Some(self.instance.clone()), Vec::new());
        }
        let mut found = Diagnostics::new(SETTINGS);
        let definition = match definition
            .as_ref()
            .map(|text| Definition::parse(&self.instance.definition.id, DEFINITION, text))
        {
            None => Arc::clone(&self.instance.definition),
            Some(Err(faults)) => return (None, faults),
            Some(Ok(definition)) => {
                let definition = Arc::new(definition);
                found.extend(examples::check(&definition));
                definition
            }
        };
        let settings = read_settings(
            &definition,
            settings.as_ref().unwrap_or(&self.settings),
            &mut found,
        );
        let instance = Instance {
            definition,
            settings,
            ..self.instance.clone()
        };
        if let Err(faults) = instance.compile(&mut crate::traits::Vocabulary::default()) {
            found.extend(faults);
        }
        let found = found.into_sorted();
        // An example that comes out differently hinders nothing.
        let hinders = |diagnostic: &&Diagnostic| &*diagnostic.file == SETTINGS;
        let is_usable = !has_errors(&found.iter().filter(hinders).cloned().collect::<Vec<_>>());
        (is_usable.then_some(instance), found)
    }

    fn fault(&self, asked: &Asked, diagnostic: &Diagnostic) -> Fault {
        let Diagnostic {
            severity,
            file,
            place,
            message,
            hint,
        } = diagnostic;
        let text = match &**file {
            SETTINGS => asked.settings.as_deref().unwrap_or(&self.settings),
            _ => asked.definition.as_deref().unwrap_or(&self.definition),
        };
        let place = place.map(|place| FaultPlace {
            line: place.line,
            column: place.column,
            length: place.length,
            text: text
                .lines()
                .nth(place.line.saturating_sub(1))
                .unwrap_or_default()
                .to_owned(),
        });
        let severity = match severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let (message, hint) = (message.clone(), hint.clone());
        Fault {
            destination: asked.name.clone(),
            part: file.to_string(),
            severity,
            message,
            hint,
            place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playground() -> Playground {
        let samples = vec![Sample {
            title: "one",
            event: r#"{"type":"group","groupId":"g1","traits":{"Name":"A"}}"#.to_owned(),
        }];
        Playground::of_catalogue(&Catalogue::built_in(), samples)
    }

    fn ask(event: &str, destinations: &str) -> Result<Value, String> {
        let question = format!(
            r#"{{"event":{},"destinations":{destinations}}}"#,
            crate::json::quoted(event)
        );
        let answer = playground().answer(&serde_json::from_str(&question).unwrap())?;
        Ok(serde_json::to_value(answer).unwrap())
    }

    const EVENT: &str = r#"{"type":"group","groupId":"g1","traits":{"Name":"Initech","employees":"250","big":12345678901234567890}}"#;

    #[test]
    fn every_offer_can_be_used_as_it_is() {
        let playground = playground();
        let names: Vec<Value> = playground
            .offers
            .iter()
            .map(|offer| serde_json::json!({ "name": offer.instance.name, "settings": offer.settings }))
            .collect();
        let answer = ask(EVENT, &Value::from(names).to_string()).unwrap();
        assert_eq!(answer["faults"], Value::Array(Vec::new()));
        assert_eq!(
            answer["explanation"]["destinations"]
                .as_array()
                .unwrap()
                .len(),
            playground.offers.len()
        );
        assert!(
            playground
                .offers
                .iter()
                .all(|offer| !offer.definition.is_empty())
        );
    }

    #[test]
    fn a_body_is_shown_digit_for_digit_with_what_it_was_made_of() {
        let answer = ask(EVENT, r#"[{"name":"hubspot"}]"#).unwrap();
        let lines = answer["bodies"][0][0]["lines"].as_array().unwrap();
        let line = |text: &str| {
            lines
                .iter()
                .find(|line| line["text"].as_str().unwrap().contains(text))
                .unwrap()
        };
        assert_eq!(
            line("12345678901234567890")["origin"]["from"][0],
            "traits.big"
        );
        assert_eq!(
            line("numberofemployees")["origin"]["conversion"]["came"],
            "\"250\""
        );
        assert_eq!(answer["bodies"][0][0]["batch"]["as"]["array_in"], "inputs");
    }

    #[test]
    fn an_edited_definition_counts_and_its_faults_have_places() {
        let text = "name: Mine\nabout: A.\nmembership: none\nnulls: drop\noperations:\n  - id: a\n    request: POST /x\n    body: { n: \"${traits.name | uper}\" }\n";
        let destinations = |text: &str| {
            serde_json::json!([{ "name": "webhook", "definition": text, "settings": "" }])
                .to_string()
        };
        let answer = ask(EVENT, &destinations(text)).unwrap();
        let fault = &answer["faults"][0];
        assert_eq!(
            (&fault["part"], &fault["place"]["line"]),
            (&"definition".into(), &8.into()),
            "{fault}"
        );
        assert_eq!(fault["hint"], "did you mean: upper");
        assert!(fault["place"]["text"].as_str().unwrap().contains("uper"));
        assert_eq!(
            answer["explanation"]["destinations"],
            Value::Array(Vec::new())
        );
        let answer = ask(EVENT, &destinations(&text.replace("uper", "upper"))).unwrap();
        assert_eq!(
            answer["explanation"]["destinations"][0]["operations"][0]["body"]["n"],
            "INITECH"
        );
    }

    #[test]
    fn wrong_settings_and_unknown_names_are_told() {
        let answer = ask(EVENT, r#"[{"name":"mixpanel","settings":"tokn: x"}]"#).unwrap();
        assert!(
            answer["faults"]
                .as_array()
                .unwrap()
                .iter()
                .any(|fault| fault["hint"] == "did you mean: token"),
            "{answer}"
        );
        assert_eq!(
            ask(EVENT, r#"[{"name":"nobody"}]"#).unwrap_err(),
            "no such destination: nobody"
        );
    }
}
