//! What NAV 2018 does by its OData V4 pages, section by section of the description (erp-api.md).
//!
//! A table and nothing else. Pages bear the names under which somebody published them: here those of `pipelines/nav.yaml`,
//! Customer (page 21) and Salesperson (page 5116). What is written is a salesperson, which no other record comes along
//! with. `<company name>` is given by the caller, empty for the first company.

use super::answer::Check::{Begins, Contains, Differs, Has, Header, Is, Lacks, Length, Status, Times};
use super::answer::Keep::{At, Where};
use super::{Expectation, ask, get, send};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const SALESPEOPLE: &str = "Company('<company>')/Salesperson";
const OWN: &str = "Company('<company>')/Salesperson('<own salesperson>')";
const NOBODY: &str = "Company('<company>')/Salesperson('<no code>')";

/// All of it, in an order in which each finds what it needs.
pub const EXPECTATIONS: &[Expectation] = &[
    Expectation::reads(
        "10",
        "the companies are listed, the asked one by its name",
        &[get("Company")
            .expect(&[Status(&[200]), Has("/value/0/Name")])
            .keep(&[("company", Where("Name", "<company name>", "Name"))])],
    ),
    Expectation::reads(
        "10",
        "the metadata is XML",
        &[get("$metadata").headers(&[("Accept", "application/xml")]).expect(&[
            Status(&[200]),
            Header("Content-Type", "xml"),
            Times("Edmx Version=", 1),
        ])],
    ),
    Expectation::reads(
        "10",
        "nobody reads without a login",
        &[get("Company").without_login().expect(&[Status(&[401])])],
    ),
    Expectation::reads(
        "10",
        "an access key that nobody has is refused",
        // `NOBODY:none`
        &[get("Company")
            .headers(&[("Authorization", "Basic Tk9CT0RZOm5vbmU=")])
            .without_login()
            .expect(&[Status(&[401])])],
    ),
    Expectation::reads(
        "10",
        "who asks for no JSON gets XML",
        &[get("Company('<company>')/Customer?$top=1")
            .headers(&[("Accept", "application/xml")])
            .expect(&[Status(&[200]), Header("Content-Type", "xml")])],
    ),
    Expectation::reads(
        "1",
        "a page that nobody published is told by its status",
        &[get("Company('<company>')/Nonesuch").expect(&[Status(&[404])])],
    ),
    Expectation::reads(
        "1",
        "a company that there is not is told by its status",
        &[get("Company('<mark>')/Customer").expect(&[Status(&[404])])],
    ),
    Expectation::reads(
        "10",
        "rows have versions, a primary key and what is selected, and no id",
        &[get("Company('<company>')/Customer?$select=No,Name&$top=2")
            .expect(&[
                Status(&[200]),
                Header("Content-Type", "json"),
                Begins("/value/0/@odata.etag", "W/\""),
                Has("/value/0/No"),
                Lacks("/value/0/City"),
                Lacks("/value/0/SystemId"),
                Lacks("/value/0/id"),
            ])
            .keep(&[("number", At("/value/0/No")), ("second number", At("/value/1/No"))])],
    ),
    Expectation::reads(
        "10",
        "a record is addressed by its primary key, with and without the field's name",
        &[
            get("Company('<company>')/Customer('<number>')").expect(&[Status(&[200]), Is("/No", "<number>")]),
            get("Company('<company>')/Customer(No='<number>')").expect(&[Status(&[200]), Is("/No", "<number>")]),
        ],
    ),
    Expectation::reads(
        "10",
        "an error has a message and no correlation id",
        &[get(NOBODY).expect(&[Status(&[404]), Has("/error/message"), Times("CorrelationId", 0)])],
    ),
    Expectation::reads(
        "3",
        "pages are as small as asked for and lead on",
        &[
            // Of one customer alone there is no second page.
            get("Company('<company>')/Customer('<second number>')?$select=No").expect(&[Status(&[200])]),
            get("Company('<company>')/Customer?$select=No")
                .headers(&[("Prefer", "odata.maxpagesize=1")])
                .expect(&[Status(&[200]), Length("/value", 1), Begins("/@odata.nextLink", "http")])
                .keep(&[("first", At("/value/0/No")), ("next page", At("/@odata.nextLink"))]),
            get("<next page>").headers(&[("Prefer", "odata.maxpagesize=1")]).expect(&[
                Status(&[200]),
                Length("/value", 1),
                Differs("/value/0/No", "<first>"),
            ]),
        ],
    ),
    Expectation::reads(
        "3",
        "several keys are asked for with or",
        &[get(
            "Company('<company>')/Customer?$select=No&$filter=No%20eq%20'<number>'%20or%20No%20eq%20'<second number>'",
        )
        .expect(&[Status(&[200]), Length("/value", 2)])],
    ),
    Expectation::reads(
        "10",
        "of a change the day is told, and it can be asked for",
        &[
            get("Company('<company>')/Customer('<number>')?$select=No,Last_Date_Modified")
                .expect(&[Status(&[200]), Has("/Last_Date_Modified")])
                .keep(&[("day", At("/Last_Date_Modified"))]),
            get("Company('<company>')/Customer?$select=No&$top=1&$filter=Last_Date_Modified%20ge%20<day>")
                .expect(&[Status(&[200]), Length("/value", 1)]),
        ],
    ),
    Expectation::reads(
        "10",
        "the blank of an option is _x0020_",
        &[get("Company('<company>')/Customer?$select=No,Blocked&$top=1&$filter=Blocked%20eq%20'_x0020_'")
            .expect(&[Status(&[200]), Is("/value/0/Blocked", "_x0020_")])],
    ),
    Expectation::writes(
        "10",
        "a new record keeps the key that it comes with, in capitals, and is answered whole",
        &[send("POST", SALESPEOPLE, r#"{"Code":"<code>","Name":"<mark>"}"#)
            .makes("Company('<company>')/Salesperson('<upper code>')")
            .expect(&[
                Status(&[201]),
                Times("\"<upper code>\"", 1),
                Is("/Name", "<mark>"),
                Begins("/@odata.etag", "W/\""),
            ])
            .keep(&[("own salesperson", At("/Code")), ("version", At("/@odata.etag"))])],
    ),
    Expectation::writes(
        "10",
        "a key that is taken is refused",
        &[send("POST", SALESPEOPLE, r#"{"Code":"<own salesperson>","Name":"<mark>"}"#)
            .expect(&[Status(&[400, 409]), Contains("/error/message", "already exists")])],
    ),
    Expectation::writes(
        "4",
        "a change without If-Match is refused",
        &[send("PATCH", OWN, r#"{"Name":"Nowhere"}"#).expect(&[Status(&[400])])],
    ),
    Expectation::writes(
        "4",
        "a change of the version that was read is answered with the next version",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "<version>")])
            .body(r#"{"Name":"<mark>, changed"}"#)
            .expect(&[Status(&[200]), Is("/Name", "<mark>, changed"), Differs("/@odata.etag", "<version>")])],
    ),
    Expectation::writes(
        "4",
        "a change of an old version is refused",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "<version>")])
            .body(r#"{"Name":"Nowhere"}"#)
            .expect(&[Status(&[409, 412])])],
    ),
    Expectation::writes(
        "4",
        "a change of an unknown record makes none",
        &[ask("PATCH", NOBODY)
            .makes(NOBODY)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"Name":"Nowhere"}"#)
            .expect(&[Status(&[404])])],
    ),
    Expectation::writes(
        "4",
        "a property that the page does not have is refused",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"nonesuch":"x"}"#)
            .expect(&[Status(&[400]), Contains("/error/message", "nonesuch")])],
    ),
    Expectation::writes(
        "4",
        "a deleted record is gone",
        &[
            ask("DELETE", OWN).headers(&[("If-Match", "*")]).expect(&[Status(&[204])]),
            get(OWN).expect(&[Status(&[404])]),
        ],
    ),
    Expectation::left_out(
        "10",
        "there is no batch",
        "a multipart one is there in some builds, and nothing that is sent here needs one",
    ),
    Expectation::left_out("10", "nothing is refused because there is too much", "it would take as much as that"),
];
