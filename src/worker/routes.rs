//! What may change while the service runs: the router and its topics, replaced as a whole.

use std::sync::{Arc, Mutex, PoisonError};

use crate::kafka::topics::Topics;
use crate::router::Router;

/// A router, and its topics as the brokers have them.
pub struct Routes {
    /// What becomes of a record.
    pub router: Arc<Router>,
    /// Its topics.
    pub topics: Arc<Topics>,
}

/// The routes of now. A worker takes the next ones over between two epochs.
pub struct Current(Mutex<Arc<Routes>>);

impl Current {
    /// Starts with these.
    #[must_use]
    pub fn new(routes: Routes) -> Current {
        Current(Mutex::new(Arc::new(routes)))
    }

    /// Returns the routes of now.
    #[must_use]
    pub fn get(&self) -> Arc<Routes> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the next ones.
    pub fn replace(&self, routes: Routes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
    }

    /// Returns whether `routes` are those of now.
    pub(super) fn is(&self, routes: &Arc<Routes>) -> bool {
        Arc::ptr_eq(&self.get(), routes)
    }
}
