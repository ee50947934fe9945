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
        "klaviyo",
        "profile.import /properties/data/properties/attributes/properties/external_id/maxLength",
        OPEN,
    ),
    (
        "mixpanel",
        "group.set /$defs/properties/propertyNames/minLength",
        OPEN,
    ),
    ("mixpanel", "group.set /$defs/value/anyOf", OPEN),
    ("onesignal", "user.update /$defs/tag/type", OPEN),
    (
        "ortto",
        "account.merge /$defs/fields/patternProperties/^int:/type",
        OPEN,
    ),
    (
        "ortto",
        "account.merge /$defs/fields/patternProperties/^str:/type",
        OPEN,
    ),
    (
        "ortto",
        "account.merge /$defs/fields/propertyNames/pattern",
        OPEN,
    ),
    (
        "pendo",
        "account.set /properties/values/propertyNames/pattern",
        OPEN,
    ),
    ("pendo", "account.set {metadata_group}/not", OPEN),
    ("planhat", "company.upsert /properties/name/minLength", OPEN),
    (
        "posthog",
        "group.identify /$defs/groupidentify/properties/properties/properties/$group_key/anyOf",
        OPEN,
    ),
    (
        "posthog",
        "group.identify law: an item is no larger than the vendor takes",
        OPEN,
    ),
    (
        "posthog",
        "group.identify_alone /$defs/groupidentify/properties/properties/properties/$process_person_profile/not",
        OPEN,
    ),
    ("refiner", "member.identify /$defs/value/anyOf", OPEN),
    ("rudderstack", "group.call /properties/messageId/type", OPEN),
    (
        "rudderstack",
        "group.call law: an item is no larger than the vendor takes",
        OPEN,
    ),
    ("salesforce", "account.upsert /additionalProperties", OPEN),
    (
        "salesforce",
        "account.upsert /properties/Industry/maxLength",
        OPEN,
    ),
    (
        "salesforce",
        "account.upsert /properties/NumberOfEmployees/anyOf",
        OPEN,
    ),
    ("salesforce", "account.upsert {groupId}/maxLength", OPEN),
    (
        "segment",
        "group.call /properties/messageId/maxLength",
        OPEN,
    ),
    ("segment", "group.call /properties/messageId/type", OPEN),
    (
        "segment",
        "group.call law: an item is no larger than the vendor takes",
        OPEN,
    ),
    (
        "toplyne",
        "account.upload /properties/creationTime/minimum",
        OPEN,
    ),
    ("totango", "account.set /$defs/accountText/anyOf", OPEN),
    ("totango", "account.set /properties/sdr_o/maxLength", OPEN),
    ("totango", "account.set /properties/sdr_o/pattern", OPEN),
    ("totango", "account.set /properties/sdr_u/maxLength", OPEN),
    ("totango", "account.set /properties/sdr_u/pattern", OPEN),
    ("totango", "account.set /propertyNames/pattern", OPEN),
    (
        "usertour",
        "company.upsert /$defs/attributes/additionalProperties/anyOf",
        OPEN,
    ),
    (
        "usertour",
        "company.upsert /$defs/attributes/propertyNames/pattern",
        OPEN,
    ),
    ("usertour", "company.upsert /$defs/id/pattern", OPEN),
    ("usertour", "member.add /$defs/id/pattern", OPEN),
    ("warehouse", "row.insert /additionalProperties/type", OPEN),
    (
        "zendesk",
        "organization.upsert /properties/organization/properties/organization_fields/propertyNames/pattern",
        OPEN,
    ),
];

/// Nobody has looked at it yet.
const OPEN: &str = "to be mended";
