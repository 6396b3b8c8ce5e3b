//! What the metadata of the products whose tables we know does not tell, decided by the names of columns.
//!
//! Which texts are codes and which columns cannot be written: by the names of the standard API (erp-api.md §8–9), which
//! custom pages follow, and by those of the tables' fields, which OData V4 pages show.

/// Tells whether a text column is of type `Code` in the standard tables: upper-cased and trimmed by the ERP.
pub(super) fn is_code(name: &str) -> bool {
    const CODES: [&str; 6] = ["number", "code", "country", "gtin", "searchName", "baseUnitOfMeasure"];
    // Numbers of people and offices, not of records: plain texts.
    const TEXTS: [&str; 5] =
        ["phoneNumber", "mobilePhoneNumber", "faxNumber", "taxRegistrationNumber", "vendorItemNumber"];
    CODES.contains(&name) || ((name.ends_with("Code") || name.ends_with("Number")) && !TEXTS.contains(&name))
}

/// Tells whether the ERP computes a column (`id` is given on insert by itself, not as a column).
pub(super) fn is_read_only(set: &str, name: &str) -> bool {
    const EVERYWHERE: [&str; 14] = [
        "id",
        "systemId",
        "lastModifiedDateTime",
        "systemCreatedAt",
        "systemCreatedBy",
        "systemModifiedAt",
        "systemModifiedBy",
        "inventory",
        "balance",
        "balanceDue",
        "capacity",
        "taxAreaDisplayName",
        "contactBusinessRelation",
        "lastInteractionDate",
    ];
    EVERYWHERE.contains(&name) || set == "companies" || (set == "contacts" && name == "companyName")
}

/// Tells whether a field of the tables, as OData V4 pages name it, is of type `Code`.
pub(super) fn is_code_field(name: &str) -> bool {
    const CODES: [&str; 6] = ["No", "Code", "Search_Name", "GTIN", "Base_Unit_of_Measure", "Unit_of_Measure"];
    const TEXTS: [&str; 3] = ["Telex_No", "VAT_Registration_No", "Vendor_Item_No"];
    let is_number = name.ends_with("_No") && !name.ends_with("Phone_No") && !name.ends_with("Fax_No");
    let is_coded = is_number || name.ends_with("_Code") || name.ends_with("_Posting_Group");
    CODES.contains(&name) || (is_coded && !TEXTS.contains(&name))
}

/// Tells whether the ERP computes a field of the tables.
pub(super) fn is_read_only_field(set: &str, name: &str) -> bool {
    const EVERYWHERE: [&str; 12] = [
        "Last_Date_Modified",
        "Last_DateTime_Modified",
        "SystemId",
        "SystemCreatedAt",
        "SystemCreatedBy",
        "SystemModifiedAt",
        "SystemModifiedBy",
        "Inventory",
        "Balance",
        "Balance_LCY",
        "Balance_Due",
        "Balance_Due_LCY",
    ];
    EVERYWHERE.contains(&name) || set == "Company"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_from_texts_by_their_names() {
        for (name, expected) in [
            ("number", true),
            ("companyNumber", true),
            ("salespersonCode", true),
            ("postalCode", true),
            ("country", true),
            ("searchName", true),
            ("internationalStandardCode", true),
            ("vendorNumber", true),
            ("phoneNumber", false),
            ("mobilePhoneNumber", false),
            ("phoneNo", false),
            ("addressLine1", false),
            ("taxRegistrationNumber", false),
            ("displayName", false),
            ("city", false),
        ] {
            assert_eq!(is_code(name), expected, "{name}");
        }
    }

    #[test]
    fn code_fields_are_told_from_texts_by_their_names() {
        for (name, expected) in [
            ("No", true),
            ("Currency_Code", true),
            ("Post_Code", true),
            ("Gen_Bus_Posting_Group", true),
            ("Phone_No", false),
            ("Mobile_Phone_No", false),
            ("Fax_No", false),
            ("VAT_Registration_No", false),
            ("Name", false),
        ] {
            assert_eq!(is_code_field(name), expected, "{name}");
        }
    }
}
