//! The look at the topics that is taken again and again while the service runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;

use super::{PATIENCE, Problem, Topics, admin, describe, problems};
use crate::config::Config;
use crate::kafka::fault::Fault;
use crate::kafka::native;

/// Looks after the topics while the service runs.
pub struct TopicWatch {
    admin: Mutex<AdminClient<DefaultClientContext>>,
    config: Arc<Config>,
}

impl TopicWatch {
    /// Opens a client of its own, so that no worker waits for an answer.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a property is wrong.
    pub fn open(config: Arc<Config>) -> Result<TopicWatch, Fault> {
        Ok(TopicWatch {
            admin: Mutex::new(admin(&config)?),
            config,
        })
    }

    /// Asks the brokers once, for limits too that are not known yet, and returns what is wrong with `topics`.
    ///
    /// # Errors
    /// Why there is no answer. The next question is a new client's: this one may have lost all brokers for good, see
    /// [`Report::knows_a_broker`](crate::status::report::Report::knows_a_broker).
    pub fn problems(&self, topics: &Topics) -> Result<Vec<Problem>, String> {
        let mut client = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let names = &topics.names;
        let described = match describe(client.inner(), &self.config, names) {
            Ok(described) => described,
            Err(no_answer) => {
                match admin(&self.config) {
                    Ok(another) => *client = another,
                    Err(fault) => {
                        tracing::debug!(error = %fault, "no other client could be opened")
                    }
                }
                return Err(no_answer);
            }
        };
        // Those who wait for the first answer want all of it.
        let patience = if topics.are_known() {
            Duration::ZERO
        } else {
            PATIENCE
        };
        topics.learn_limits_until(&client, Instant::now() + patience);
        topics.learn_raised_limits(&client);
        // What was mended meanwhile must not pile up in a client that nobody polls.
        drop(native::complaints(client.inner()));
        Ok(problems(&described, &self.config, names))
    }
}
