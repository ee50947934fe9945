//! What is known to leave although the vendor refuses it. The list is exact: what is mended must leave it.

/// The definition; the operation with the place in its schema, or the law; and why it stands here.
pub(crate) const KNOWN: &[(&str, &str, &str)] = &[
    (
        "airship",
        "named_user.update law: a null address clears what an address sets",
        "the JSON attribute is replaced as a whole, so that what is left out is cleared",
    ),
    (
        "bloomreach",
        "customer.update /properties/data/properties/customer_ids/not",
        "Bloomreach refuses that one command, and nobody could be meant by such an id",
    ),
    (
        "customerio",
        "group.identify law: traits.objectTypeId stops its own operation only",
        "with another type it would be another object",
    ),
    (
        "zendesk",
        "organization.upsert /properties/organization/properties/organization_fields/propertyNames/pattern",
        "a name of digits alone (`names` cannot tell it from 1st, which Zendesk takes): no field can have it",
    ),
];
