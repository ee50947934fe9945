//! librdkafka's own properties: any of them, but for the few that would break the guarantee.

use std::fmt;

/// librdkafka properties in the order they were written. Their secrets are never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Property>,
}

#[derive(Clone, PartialEq, Eq)]
struct Property {
    name: String,
    value: String,
    is_secret: bool,
}

impl Properties {
    /// Returns each name and value, secrets in clear: for the client only.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|property| (property.name.as_str(), property.value.as_str()))
    }

    /// Returns the value of `name`, in clear: for the client only.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |property: &Property| if property.is_secret { "(secret)".to_owned() } else { property.value.clone() };
        formatter.debug_map().entries(self.entries.iter().map(|property| (&property.name, shown(property)))).finish()
    }
}
