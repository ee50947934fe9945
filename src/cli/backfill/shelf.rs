//! States of more groups than fit into memory: the recent ones at hand, the others in a file.

use std::collections::HashMap;
use std::path::PathBuf;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tempfile::TempDir;

use crate::latest::State;

const STATES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("states");

/// What may take this much memory before it is put into the file.
const HOT_BYTES: usize = 64 << 20;

/// What the file's own cache may take.
const CACHE_BYTES: usize = 32 << 20;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub(super) struct ShelfError {
    path: String,
    reason: String,
}

/// The states of all groups, by id.
pub(super) struct Shelf {
    hot: HashMap<String, State>,
    hot_bytes: usize,
    limit: usize,
    folder: PathBuf,
    /// Made when the first states do not fit. Its folder, which nobody else can read, goes with it.
    file: Option<(Database, TempDir)>,
}

impl Shelf {
    /// Returns an empty shelf; where it needs a file, that will be in a folder of its own in `folder`, and is removed with it.
    #[must_use]
    pub(super) fn new(folder: PathBuf) -> Shelf {
        Shelf::with_limit(folder, HOT_BYTES)
    }

    fn with_limit(folder: PathBuf, limit: usize) -> Shelf {
        Shelf {
            hot: HashMap::new(),
            hot_bytes: 0,
            limit,
            folder,
            file: None,
        }
    }

    /// Adds what an event says of a group.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn add(&mut self, group_id: &str, state: State) -> Result<(), ShelfError> {
        match self.hot.get_mut(group_id) {
            // Only what is new is measured: an event of a large group must not cost the whole of it.
            Some(known) => self.hot_bytes += known.merge(state),
            None => {
                self.hot_bytes += state.size() + group_id.len();
                self.hot.insert(group_id.to_owned(), state);
            }
        }
        if self.hot_bytes > self.limit {
            self.put_away()
        } else {
            Ok(())
        }
    }

    /// Lends each group's state, in the order of their ids.
    ///
    /// # Errors
    /// Where the file cannot be read, or what `take` returns.
    pub(super) fn each<E: From<ShelfError>>(
        &mut self,
        mut take: impl FnMut(State) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.file.is_none() {
            let mut states: Vec<(&String, &State)> = self.hot.iter().collect();
            states.sort_by_key(|(id, _)| *id);
            return states
                .into_iter()
                .try_for_each(|(_, state)| take(state.clone()));
        }
        self.put_away()?;
        let Some((file, _)) = &self.file else {
            return Ok(());
        };
        let table = file
            .begin_read()
            .map_err(redb::Error::from)
            .and_then(|read| Ok(read.open_table(STATES)?));
        let states = table
            .and_then(|table| Ok(table.range::<&str>(..)?))
            .map_err(|error| self.fault(&error))?;
        for entry in states {
            let (_, bytes) = entry.map_err(|error| self.fault(&error))?;
            take(serde_json::from_slice(bytes.value()).map_err(|error| self.fault(&error))?)?;
        }
        Ok(())
    }

    fn put_away(&mut self) -> Result<(), ShelfError> {
        if self.file.is_none() {
            let folder = tempfile::Builder::new()
                .prefix("groupcast-")
                .tempdir_in(&self.folder);
            let folder = folder.map_err(|error| self.fault(&error))?;
            let file = Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create(folder.path().join("latest.redb"));
            self.file = Some((file.map_err(|error| self.fault(&error))?, folder));
        }
        let hot = std::mem::take(&mut self.hot);
        self.hot_bytes = 0;
        let Some((file, _)) = &self.file else {
            return Ok(());
        };
        write(file, hot).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &impl std::fmt::Display) -> ShelfError {
        ShelfError {
            path: self.folder.display().to_string(),
            reason: error.to_string(),
        }
    }
}

fn write(file: &Database, hot: HashMap<String, State>) -> Result<(), redb::Error> {
    let damaged = |error: serde_json::Error| redb::Error::Corrupted(error.to_string());
    let mut transaction = file.begin_write()?;
    // Nobody reads it after a crash.
    transaction.set_durability(redb::Durability::None)?;
    {
        let mut table = transaction.open_table(STATES)?;
        for (id, mut state) in hot {
            let known = table
                .get(id.as_str())?
                .map(|bytes| serde_json::from_slice(bytes.value()))
                .transpose()
                .map_err(damaged)?;
            if let Some(known) = known {
                state.merge(known);
            }
            table.insert(
                id.as_str(),
                serde_json::to_vec(&state).map_err(damaged)?.as_slice(),
            )?;
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    use super::*;
    use crate::event::{Event, Reading};
    use crate::latest::Order;
    use crate::record::Record;
    use crate::traits::Vocabulary;

    fn state(group: usize, offset: i64) -> State {
        let order = Order {
            timestamp: 0,
            topic: 0,
            partition: 0,
            offset,
        };
        let traits = format!(r#"{{"a":{offset},"t{}":{offset}}}"#, offset % 3);
        let value = format!(r#"{{"type":"group","groupId":"{group}","traits":{traits}}}"#);
        let position = order.position("events");
        let record = Record::new(position, Some(value.as_bytes()));
        let (arena, vocabulary) = (Bump::new(), Vocabulary::default());
        State::of(
            &Event::parse(&record, &Reading::default(), &vocabulary, &arena, &mut ()).unwrap(),
            order,
            None,
        )
    }

    #[test]
    fn what_is_put_away_comes_to_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let all = |limit: usize| {
            let mut shelf = Shelf::with_limit(folder.path().to_owned(), limit);
            for offset in 0..500 {
                let group = usize::try_from(offset * 7 % 40).unwrap();
                shelf
                    .add(&format!("g{group:03}"), state(group, offset))
                    .unwrap();
            }
            let mut states = Vec::new();
            shelf
                .each::<ShelfError>(|state| {
                    states.push(state.events());
                    Ok(())
                })
                .unwrap();
            assert_eq!(shelf.file.is_some(), limit < 1000);
            states
        };
        let (in_memory, on_disk) = (all(usize::MAX), all(500));
        assert_eq!(in_memory.len(), 40);
        assert_eq!(in_memory, on_disk);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "the file is removed"
        );
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let mut shelf = Shelf::with_limit(PathBuf::from("/nowhere/at/all"), 1);
        let error = shelf.add("g", state(1, 1)).unwrap_err();
        assert!(
            error.to_string().starts_with("/nowhere/at/all: "),
            "{error}"
        );
    }
}
