//! What is known to leave although the vendor refuses it. The list is exact: what is mended must leave it.

/// The definition; the operation with the place in its schema, or the law; and why it stands here.
pub(crate) const KNOWN: &[(&str, &str, &str)] = &[
    (
        "accoil",
        "account.group /properties/traits/properties/created_at/type",
        OPEN,
    ),
    (
        "accoil",
        "account.group /properties/traits/properties/mrr/type",
        OPEN,
    ),
    (
        "accoil",
        "account.group /properties/traits/properties/name/type",
        OPEN,
    ),
    (
        "accoil",
        "account.group /properties/traits/properties/plan/type",
        OPEN,
    ),
    (
        "accoil",
        "account.group /properties/traits/properties/status/type",
        OPEN,
    ),
    (
        "airship",
        "named_user.update /$defs/attribute/allOf/0/then/properties/value/anyOf",
        OPEN,
    ),
    (
        "airship",
        "named_user.update /$defs/attribute/allOf/1/then/properties/value/pattern",
        OPEN,
    ),
    (
        "airship",
        "named_user.update /$defs/attribute/properties/key/pattern",
        OPEN,
    ),
    (
        "airship",
        "named_user.update /$defs/attribute/properties/value/anyOf",
        OPEN,
    ),
    (
        "airship",
        "named_user.update /$defs/attribute/required",
        OPEN,
    ),
    (
        "airship",
        "named_user.update /$defs/tagGroups/additionalProperties/items/maxLength",
        OPEN,
    ),
    (
        "airship",
        "named_user.update law: a null address clears what an address sets",
        OPEN,
    ),
    ("airship", "named_user.update {userId}/maxLength", OPEN),
    ("airship", "named_user.update {userId}/pattern", OPEN),
    ("appcues", "group.call /properties/messageId/type", OPEN),
    (
        "appcues",
        "group.call law: a null address clears what an address sets",
        OPEN,
    ),
    ("attio", "user.upsert /$defs/email/anyOf", OPEN),
    (
        "attio",
        "workspace.upsert /properties/data/properties/values/properties/created_at",
        OPEN,
    ),
    (
        "attio",
        "workspace.upsert /properties/data/properties/values/properties/record_id",
        OPEN,
    ),
    (
        "attio",
        "workspace.upsert law: a null address clears what an address sets",
        OPEN,
    ),
    (
        "bloomreach",
        "customer.update /properties/data/properties/customer_ids/not",
        OPEN,
    ),
    (
        "bloomreach",
        "customer.update /properties/data/properties/properties/additionalProperties/anyOf",
        OPEN,
    ),
    (
        "bloomreach",
        "customer.update law: a null address clears what an address sets",
        OPEN,
    ),
    (
        "bloomreach",
        "customer.update law: an item is no larger than the vendor takes",
        OPEN,
    ),
    (
        "blueshift",
        "customer.update /properties/customer_id/maxLength",
        OPEN,
    ),
    (
        "blueshift",
        "customer.update law: a null address clears what an address sets",
        OPEN,
    ),
    (
        "braze",
        "object.replace law: an operation that replaces sends nothing empty",
        OPEN,
    ),
    (
        "canny",
        "company.update /$defs/customFields/propertyNames/maxLength",
        OPEN,
    ),
    ("canny", "member.add /properties/name/maxLength", OPEN),
    ("canny", "member.add /required", OPEN),
    ("churnzero", "account.set /anyOf", OPEN),
    (
        "customerio",
        "group.identify /$defs/attrName/maxLength",
        OPEN,
    ),
    (
        "customerio",
        "group.identify /$defs/attrName/minLength",
        OPEN,
    ),
    (
        "customerio",
        "group.identify /$defs/attrValue/maxLength",
        OPEN,
    ),
    (
        "customerio",
        "group.identify /$defs/attributes/maxProperties",
        OPEN,
    ),
    (
        "customerio",
        "group.identify /properties/cio_relationships/items/properties/identifiers/properties/id/maxLength",
        OPEN,
    ),
    (
        "customerio",
        "group.identify /properties/identifiers/oneOf",
        OPEN,
    ),
    (
        "customerio",
        "group.identify /properties/identifiers/properties/object_id/maxLength",
        OPEN,
    ),
    (
        "customerio",
        "group.identify /properties/identifiers/properties/object_type_id/pattern",
        OPEN,
    ),
    (
        "customerio",
        "group.identify law: an item is no larger than the vendor takes",
        OPEN,
    ),
    (
        "encharge",
        "object.group law: a null address clears what an address sets",
        OPEN,
    ),
    (
        "freshsales",
        "account.upsert /$defs/sales_account/properties/name/minLength",
        OPEN,
    ),
    ("ga4", "event.join_group /$defs/micros/anyOf", OPEN),
    ("ga4", "event.join_group /$defs/params/maxProperties", OPEN),
    (
        "ga4",
        "event.join_group /$defs/params/propertyNames/pattern",
        OPEN,
    ),
    ("ga4", "event.join_group /anyOf", OPEN),
    (
        "gainsight_cs",
        "company.update /properties/Name/minLength",
        OPEN,
    ),
    (
        "gainsight_cs",
        "company.update /propertyNames/pattern",
        OPEN,
    ),
    (
        "gainsight_cs",
        "company.update law: a null address clears what an address sets",
        OPEN,
    ),
    (
        "gainsight_px",
        "account.update /$defs/account/properties/numberOfEmployees/maximum",
        OPEN,
    ),
    (
        "gainsight_px",
        "account.update /$defs/account/properties/numberOfEmployees/minimum",
        OPEN,
    ),
    (
        "gainsight_px",
        "user.update law: traits.name stops its own operation only",
        OPEN,
    ),
    ("heap", "account.set /$defs/value/maxLength", OPEN),
    ("heap", "account.set /$defs/value/type", OPEN),
    ("heap", "member.set /properties/identity/maxLength", OPEN),
    (
        "hubspot",
        "company.upsert /properties/properties/additionalProperties/maxLength",
        OPEN,
    ),
    (
        "intercom",
        "company.upsert /properties/custom_attributes/propertyNames/pattern",
        OPEN,
    ),
    (
        "intercom",
        "company.upsert /properties/monthly_spend/maximum",
        OPEN,
    ),
    (
        "intercom",
        "company.upsert /properties/remote_created_at/maximum",
        OPEN,
    ),
    ("iterable", "user.update /properties/userId/maxLength", OPEN),
    ("iterable", "user.update /properties/userId/pattern", OPEN),
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
    (
        "salesforce",
        "account.upsert law: traits.name stops its own operation only",
        OPEN,
    ),
    ("salesforce", "account.upsert {groupId}/maxLength", OPEN),
    ("totango", "account.set /$defs/accountText/anyOf", OPEN),
    ("totango", "account.set /properties/sdr_o/maxLength", OPEN),
    ("totango", "account.set /properties/sdr_o/pattern", OPEN),
    ("totango", "account.set /properties/sdr_u/maxLength", OPEN),
    ("totango", "account.set /properties/sdr_u/pattern", OPEN),
    ("totango", "account.set /propertyNames/pattern", OPEN),
    (
        "zendesk",
        "organization.upsert /properties/organization/properties/organization_fields/propertyNames/pattern",
        "a name of digits alone (`names` cannot tell it from 1st, which Zendesk takes): no field can have it",
    ),
];

/// Nobody has looked at it yet.
const OPEN: &str = "to be mended";
