package peers;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import peers.Names.Known;
import peers.Traits.Flat;
import peers.Traits.Trait;

/** The five destinations, by groupcast's definitions of the same names; null policies and field orders are theirs. */
final class Destinations {
    private Destinations() {}

    private static final Map<Known, String> MIXPANEL_NAMED = new LinkedHashMap<>();

    static {
        MIXPANEL_NAMED.put(Known.NAME, "$name");
        MIXPANEL_NAMED.put(Known.EMAIL, "$email");
        MIXPANEL_NAMED.put(Known.PHONE, "$phone");
        MIXPANEL_NAMED.put(Known.AVATAR, "$avatar");
        MIXPANEL_NAMED.put(Known.CREATED_AT, "$created");
    }

    /** Settings: {@code token: T}. Sets what is not null, unsets what is, adds the member. */
    static void mixpanel(Event event, Destination.Records records) {
        List<String> cleared = new ArrayList<>(4);
        Output set = records.begin("group.set", "POST /groups");
        mixpanelGroup(set, event).key("$set").raw("{");
        boolean isEmpty = true;
        for (Map.Entry<Known, String> named : MIXPANEL_NAMED.entrySet()) {
            Trait trait = event.traits.trait(named.getKey());
            isEmpty &= trait == null || !mixpanelProperty(set, named.getValue(), trait, cleared);
        }
        for (Trait trait : event.traits.all()) {
            isEmpty &= MIXPANEL_NAMED.containsKey(trait.known) || !mixpanelProperty(set, trait.name, trait, cleared);
        }
        set.raw("}}");
        if (!isEmpty) {
            records.end();
        }
        if (!cleared.isEmpty()) {
            Output unset = mixpanelGroup(records.begin("group.unset", "POST /groups"), event).key("$unset").raw("[");
            for (int index = 0; index < cleared.size(); index++) {
                unset.raw(index == 0 ? "" : ",").quoted(cleared.get(index));
            }
            unset.raw("]}");
            records.end();
        }
        if (event.userId != null) {
            mixpanelMember(records.begin("member.add", "POST /engage"), event, false);
            records.end();
        } else if (event.anonymousId != null) {
            mixpanelMember(records.begin("member.add_anonymous", "POST /engage"), event, true);
            records.end();
        }
    }

    /** Writes one property, or takes note that it is cleared; returns whether it was written. */
    private static boolean mixpanelProperty(Output out, String key, Trait trait, List<String> cleared) {
        if (trait.isNull()) {
            cleared.add(key);
            return false;
        }
        if (trait.known == Known.CREATED_AT) {
            Dates date = Dates.read(trait.value);
            if (date != null) {
                out.key(key).quoted(date.iso8601());
            }
            return date != null;
        }
        if (MIXPANEL_NAMED.containsKey(trait.known)) {
            Destination.text(out, key, trait.value, null);
            return trait.value.isScalar();
        }
        Destination.whole(out, trait);
        return true;
    }

    private static Output mixpanelGroup(Output out, Event event) {
        out.raw("{\"$token\":\"T\",\"$group_key\":\"$group_id\",\"$group_id\":");
        return Destination.id(out, event.groupId);
    }

    private static void mixpanelMember(Output out, Event event, boolean isAnonymous) {
        out.raw("{\"$token\":\"T\",\"$distinct_id\":");
        if (isAnonymous) {
            out.quoted("$device:" + event.anonymousId.text());
        } else {
            Destination.id(out, event.userId);
        }
        Destination.id(out.raw(",\"$union\":{\"$group_id\":["), event.groupId).raw("]}}");
    }

    private static final Set<Known> HUBSPOT_NAMED = EnumSet.of(
            Known.NAME, Known.WEBSITE, Known.PHONE, Known.DESCRIPTION, Known.EMPLOYEES, Known.REVENUE,
            Known.STREET, Known.CITY, Known.STATE, Known.POSTAL_CODE, Known.COUNTRY);
    private static final Set<String> HUBSPOT_SIBLINGS = Set.of(
            "group_id", "name", "domain", "website", "phone", "description", "address", "city", "state", "zip", "country",
            "numberofemployees", "annualrevenue");
    private static final Set<String> PARTS = Set.of("address_street", "address_city", "address_state", "address_postalCode", "address_country");
    private static final int LONGEST = 65_536;

    /** Settings: {@code custom_traits: all}. */
    static void hubspot(Event event, Destination.Records records) {
        Traits traits = event.traits;
        Output out = records.begin("company.upsert", "POST /crm/v3/objects/companies/batch/upsert");
        Destination.id(out.raw("{\"idProperty\":\"group_id\",\"id\":"), event.groupId);
        Destination.id(out.raw(",\"properties\":{\"group_id\":"), event.groupId);
        truncated(out, "name", traits.get(Known.NAME));
        domain(out, traits.get(Known.WEBSITE));
        truncated(out, "website", traits.get(Known.WEBSITE));
        truncated(out, "phone", traits.get(Known.PHONE));
        truncated(out, "description", traits.get(Known.DESCRIPTION));
        truncated(out, "address", traits.part(Known.STREET));
        truncated(out, "city", traits.part(Known.CITY));
        truncated(out, "state", traits.part(Known.STATE));
        truncated(out, "zip", traits.part(Known.POSTAL_CODE));
        truncated(out, "country", traits.part(Known.COUNTRY));
        Destination.integer(out, "numberofemployees", traits.get(Known.EMPLOYEES), "\"\"");
        Destination.number(out, "annualrevenue", traits.get(Known.REVENUE), "\"\"");
        for (Map.Entry<String, Flat> entry : hubspotRest(traits).entrySet()) {
            hubspotProperty(out, entry.getKey(), entry.getValue());
        }
        out.raw("}}");
        records.end();
    }

    /** What has no field of its own, by its key in snake case; of two that meet the better wins (T6). */
    private static Map<String, Flat> hubspotRest(Traits traits) {
        Map<String, Flat> rest = new LinkedHashMap<>(64);
        for (Flat flat : traits.flat()) {
            boolean isNamed = flat.known() != null && (HUBSPOT_NAMED.contains(flat.known()) || PARTS.contains(flat.key()));
            if (isNamed || !flat.value().isScalar()) {
                continue;
            }
            String key = Names.snake(flat.key());
            if (!HUBSPOT_SIBLINGS.contains(key)) {
                rest.merge(key, flat, (earlier, later) -> isBetter(later, earlier, key) ? later : earlier);
            }
        }
        return rest;
    }

    private static boolean isBetter(Flat later, Flat earlier, String key) {
        boolean isSameNull = later.value().isNull() == earlier.value().isNull();
        boolean keepsKey = later.key().equals(key) && !later.isJoined();
        return isSameNull ? keepsKey && (!earlier.key().equals(key) || earlier.isJoined()) : earlier.value().isNull();
    }

    private static void hubspotProperty(Output out, String key, Flat flat) {
        if (flat.value().isNull()) {
            out.key(key).raw("\"\"");
        } else if (flat.known() == Known.CREATED_AT) {
            Dates date = Dates.read(flat.value());
            if (date != null) {
                out.key(key).quoted(date.iso8601());
            }
        } else {
            out.key(key).raw(flat.value());
        }
    }

    private static void truncated(Output out, String key, Value value) {
        if (value == null || value.to - value.from <= LONGEST) {
            Destination.text(out, key, value, "\"\"");
            return;
        }
        String text = value.text();
        if (text != null) {
            int end = text.codePointCount(0, text.length()) <= LONGEST ? text.length() : text.offsetByCodePoints(0, LONGEST);
            out.key(key).quoted(text.substring(0, end));
        }
    }

    private static void domain(Output out, Value website) {
        if (website == null) {
            return;
        }
        String domain = website.isNull() ? "" : domain(website.text());
        if (domain != null) {
            out.key("domain").quoted(domain);
        }
    }

    /** The host of a URL, lower case and without {@code www.}; null where it has none. */
    private static String domain(String website) {
        if (website == null) {
            return null;
        }
        String url = website.strip();
        int begin = url.indexOf("//") < 0 ? 0 : url.indexOf("//") + 2;
        int end = begin;
        while (end < url.length() && "/?#\\".indexOf(url.charAt(end)) < 0) {
            end++;
        }
        String host = url.substring(begin, end);
        host = host.substring(host.lastIndexOf('@') + 1);
        host = (host.indexOf(':') < 0 ? host : host.substring(0, host.indexOf(':'))).toLowerCase(Locale.ROOT);
        while (host.endsWith(".")) {
            host = host.substring(0, host.length() - 1);
        }
        host = host.startsWith("www.") ? host.substring(4) : host;
        boolean isHost = host.contains(".") && !host.startsWith(".") && !host.contains("..")
                && host.codePoints().allMatch(point -> Character.isLetterOrDigit(point) || "-_.".indexOf(point) >= 0);
        return isHost ? host : null;
    }

    private static final Set<String> CUSTOMER_IO_RESERVED = Set.of("relationship", "objectid", "cioobjectid");

    /** Default settings. */
    static void customerio(Event event, Destination.Records records) {
        Output out = records.begin("group.identify", "POST /api/v2/batch");
        customerioIdentifiers(out.raw("{\"type\":\"object\",\"action\":\"identify\""), event);
        Value created = event.traits.get(Known.CREATED_AT);
        boolean isEmpty = true;
        for (Trait trait : event.traits.all()) {
            boolean isCreated = trait.known == Known.CREATED_AT && (trait.isNull() || Dates.read(created) != null);
            isEmpty &= !isCreated && !isCustomerioAttribute(trait);
        }
        if (!isEmpty) {
            out.key("attributes").raw("{");
            Destination.seconds(out, "created_at", created, "null");
            event.traits.all().stream().filter(Destinations::isCustomerioAttribute).forEach(trait -> Destination.whole(out, trait));
            out.raw("}");
        }
        if (event.userId != null) {
            Destination.id(out.raw(",\"cio_relationships\":[{\"identifiers\":{\"id\":"), event.userId).raw("}}]");
        }
        out.raw("}");
        records.end();
        if (event.userId == null && event.anonymousId != null) {
            Output member = records.begin("member.add_anonymous", "POST /api/v2/batch");
            customerioIdentifiers(member.raw("{\"type\":\"object\",\"action\":\"identify_anonymous\""), event);
            Destination.id(member.raw(",\"cio_relationships\":[{\"identifiers\":{\"anonymous_id\":"), event.anonymousId).raw("}}]}");
            records.end();
        }
    }

    private static boolean isCustomerioAttribute(Trait trait) {
        boolean isNamed = trait.known == Known.CREATED_AT || trait.known == Known.OBJECT_TYPE_ID;
        boolean isWritten = trait.name.equals("created_at");
        return !isNamed && !isWritten && (trait.known != null || !CUSTOMER_IO_RESERVED.contains(Names.fold(trait.name)));
    }

    private static void customerioIdentifiers(Output out, Event event) {
        Value type = event.traits.get(Known.OBJECT_TYPE_ID);
        String text = type == null ? null : type.text();
        out.raw(",\"identifiers\":{\"object_type_id\":").quoted(text == null ? "1" : text).raw(",\"object_id\":");
        Destination.id(out, event.groupId).raw("}");
    }

    private static final Set<Known> INTERCOM_NAMED = EnumSet.of(
            Known.NAME, Known.PLAN, Known.EMPLOYEES, Known.WEBSITE, Known.INDUSTRY, Known.CREATED_AT, Known.MONTHLY_SPEND);

    /** Settings: {@code custom_traits: all}. */
    static void intercom(Event event, Destination.Records records) {
        Traits traits = event.traits;
        Output out = records.begin("company.upsert", "POST /companies");
        Destination.id(out.raw("{\"company_id\":"), event.groupId);
        Destination.text(out, "name", traits.get(Known.NAME), null);
        Destination.text(out, "plan", traits.get(Known.PLAN), null);
        Destination.integer(out, "size", traits.get(Known.EMPLOYEES), null);
        Destination.text(out, "website", traits.get(Known.WEBSITE), null);
        Destination.text(out, "industry", traits.get(Known.INDUSTRY), null);
        Destination.seconds(out, "remote_created_at", traits.get(Known.CREATED_AT), null);
        Destination.number(out, "monthly_spend", traits.get(Known.MONTHLY_SPEND), null);
        Set<String> written = new HashSet<>(64);
        for (Flat flat : traits.flat()) {
            boolean isNamed = flat.known() != null && INTERCOM_NAMED.contains(flat.known());
            if (!isNamed && flat.value().isScalar() && written.add(flat.key())) {
                (written.size() == 1 ? out.key("custom_attributes").raw("{") : out).key(flat.key()).raw(flat.value());
            }
        }
        out.raw(written.isEmpty() ? "}" : "}}");
        records.end();
    }

    /** The whole event, trait keys canonical. */
    static void webhook(Event event, Destination.Records records) {
        Output out = records.begin("event.post", "POST /").raw("{");
        event.members.forEach((name, value) -> {
            if (name.equals("traits")) {
                out.key("traits").raw("{");
                event.traits.all().forEach(trait -> Destination.whole(out, trait));
                out.raw("}");
            } else {
                out.key(name).raw(value);
            }
        });
        out.raw("}");
        records.end();
    }
}
