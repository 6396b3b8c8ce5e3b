//! What Dataverse's Web API does, section by section of its description (crm-api.md).
//!
//! A table and nothing else. Everything that requests name is kept by earlier steps or drawn for the run.

use super::answer::Check::{
    Begins, Code, Contains, Differs, Empty, Has, Header, Is, Lacks, Length, Null, Only, Status, Times,
};
use super::answer::Keep::At;
use super::batches::{
    FAILING, MADE_INACTIVE, NOT_MADE, ONE_ID_TWICE, ONE_TOO_LONG, TWINS, TWO_CHANGED, TWO_NEW, TWO_READS, UNDONE,
    UNKNOWN_CHANGED, UNTYPED,
};
use super::{Expectation, Step, ask, get, send};

/// What goes along with every request.
pub const HEADERS: &[(&str, &str)] =
    &[("Accept", "application/json"), ("OData-Version", "4.0"), ("OData-MaxVersion", "4.0")];

const JSON: (&str, &str) = ("Content-Type", "application/json");
const MIXED: (&str, &str) = ("Content-Type", "multipart/mixed; boundary=batch_conform");
const OWN: &str = "accounts(<own account>)";
const CREATE: &str = "accounts/Microsoft.Dynamics.CRM.CreateMultiple";
const UPDATE: &str = "accounts/Microsoft.Dynamics.CRM.UpdateMultiple";

/// A bulk message, where the table has it.
const fn bulk(message: &'static str, body: &'static str) -> Step {
    send("POST", message, body).needs("<bulk messages of accounts>")
}

/// All of it, in an order in which each finds what it needs.
pub const EXPECTATIONS: &[Expectation] = &[
    Expectation::reads(
        "12",
        "it says who is logged in, and in which organization",
        &[get("WhoAmI").expect(&[Status(&[200]), Has("/UserId"), Has("/BusinessUnitId"), Has("/OrganizationId")])],
    ),
    Expectation::reads(
        "15",
        "it recommends how much goes at once",
        &[get("WhoAmI").expect(&[Status(&[200]), Header("x-ms-dop-hint", "")])],
    ),
    Expectation::reads(
        "15",
        "it tells how many requests and how much time are left",
        &[get("WhoAmI").expect(&[
            Status(&[200]),
            Header("x-ms-ratelimit-burst-remaining-xrm-requests", ""),
            Header("x-ms-ratelimit-time-remaining-xrm-requests", ""),
        ])],
    ),
    Expectation::left_out(
        "15",
        "too many requests, too much time and too much at once are refused with 429, each by its code, with Retry-After",
        "it takes 6,000 requests in five minutes or 53 at once, which whoever works there by the same login would feel",
    ),
    Expectation::reads(
        "13",
        "it tells which tables have a bulk message",
        &[get("sdkmessagefilters?$select=sdkmessagefilterid&$filter=sdkmessageid/name%20eq%20'CreateMultiple'%20and%20primaryobjecttypecode%20eq%20'account'")
            .expect(&[Status(&[200]), Has("/value")])
            .keep(&[("bulk messages of accounts", At("/value/0/sdkmessagefilterid"))])],
    ),
    Expectation::reads(
        "13",
        "of a message that no table has nobody knows",
        &[get("sdkmessagefilters?$select=sdkmessagefilterid&$filter=sdkmessageid/name%20eq%20'Nonesuch'%20and%20primaryobjecttypecode%20eq%20'account'")
            .expect(&[Status(&[200]), Length("/value", 0)])],
    ),
    Expectation::reads("12", "the root lists the entity sets", &[get("").expect(&[Status(&[200]), Has("/value/0/name")])]),
    Expectation::reads(
        "12",
        "a table's definition tells its names",
        &[get("EntityDefinitions(LogicalName='account')?$select=LogicalName,EntitySetName,PrimaryIdAttribute").expect(&[
            Status(&[200]),
            Is("/EntitySetName", "accounts"),
            Is("/PrimaryIdAttribute", "accountid"),
        ])],
    ),
    Expectation::reads(
        "12",
        "a table's definition tells whether versions are conditions, and its keys",
        &[
            get("EntityDefinitions(LogicalName='account')?$select=LogicalName,IsOptimisticConcurrencyEnabled")
                .expect(&[Status(&[200]), Is("/IsOptimisticConcurrencyEnabled", "true")]),
            get("EntityDefinitions(LogicalName='account')/Keys?$select=KeyAttributes,EntityKeyIndexStatus")
                .expect(&[Status(&[200]), Has("/value")]),
        ],
    ),
    Expectation::reads(
        "12",
        "the definition of a state tells in which one a record starts",
        &[get("EntityDefinitions(LogicalName='account')/Attributes/Microsoft.Dynamics.CRM.StateAttributeMetadata?$select=LogicalName,DefaultFormValue&$expand=OptionSet,GlobalOptionSet")
            .expect(&[Status(&[200]), Is("/value/0/LogicalName", "statecode"), Is("/value/0/DefaultFormValue", "0")])],
    ),
    Expectation::reads(
        "12",
        "choices of several values are asked for by a cast of their own",
        &[get("EntityDefinitions(LogicalName='account')/Attributes/Microsoft.Dynamics.CRM.MultiSelectPicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet,GlobalOptionSet")
            .expect(&[Status(&[200]), Has("/value")])],
    ),
    Expectation::reads(
        "14",
        "nobody acts for a user that is not there",
        &[get("WhoAmI").headers(&[("CallerObjectId", "<nobody>")]).expect(&[Status(&[400, 401, 403, 404])])],
    ),
    Expectation::reads(
        "2",
        "nobody reads without a login",
        &[get("WhoAmI").without_login().expect(&[Status(&[401]), Header("WWW-Authenticate", "Bearer")])],
    ),
    Expectation::reads(
        "2",
        "a token that nobody issued is refused",
        &[get("WhoAmI").headers(&[("Authorization", "Bearer none")]).without_login().expect(&[Status(&[401])])],
    ),
    Expectation::reads(
        "1",
        "names of entity sets have their case",
        &[get("Accounts?$select=name&$top=1").expect(&[Status(&[404]), Code(&["0x8006088a"])])],
    ),
    Expectation::reads(
        "1",
        "a property that a table does not have is refused",
        &[get("accounts?$select=Name&$top=1").expect(&[Status(&[400]), Contains("/error/message", "'Name'")])],
    ),
    Expectation::reads(
        "4",
        "a record that nobody has is told by its code",
        &[get("accounts(<nobody>)?$select=name").expect(&[Status(&[404]), Code(&["0x80040217"])])],
    ),
    Expectation::reads(
        "5",
        "rows have context, version and key, and of the rest what is selected",
        &[get("accounts?$select=name&$top=2")
            .expect(&[
                Status(&[200]),
                Header("OData-Version", "4.0"),
                Contains("/@odata.context", "/api/data/v9.2/$metadata#accounts("),
                Begins("/value/0/@odata.etag", "W/\""),
                Has("/value/0/accountid"),
                Only("/value/0", &["accountid", "name"]),
                Lacks("/@odata.nextLink"),
            ])
            .keep(&[("account", At("/value/0/accountid")), ("second account", At("/value/1/accountid"))])],
    ),
    Expectation::reads(
        "5",
        "pages are as small as asked for and lead on",
        &[
            // Of one account alone there is no second page.
            get("accounts(<second account>)?$select=name").expect(&[Status(&[200])]),
            get("accounts?$select=name")
                .headers(&[("Prefer", "odata.maxpagesize=1")])
                .expect(&[
                    Status(&[200]),
                    Length("/value", 1),
                    Header("Preference-Applied", "odata.maxpagesize=1"),
                    Begins("/@odata.nextLink", "http"),
                ])
                .keep(&[("first", At("/value/0/accountid")), ("next page", At("/@odata.nextLink"))]),
            get("<next page>")
                .headers(&[("Prefer", "odata.maxpagesize=1")])
                .expect(&[Status(&[200]), Length("/value", 1), Differs("/value/0/accountid", "<first>")]),
        ],
    ),
    Expectation::reads(
        "5",
        "$top is passed over beside a page size",
        &[get("accounts?$select=name&$top=1&$filter=accountid%20eq%20<account>%20or%20accountid%20eq%20<second account>")
            .headers(&[("Prefer", "odata.maxpagesize=2")])
            .expect(&[Status(&[200]), Length("/value", 2)])],
    ),
    Expectation::reads("5", "$skip is refused", &[get("accounts?$select=name&$skip=1").expect(&[Status(&[400])])]),
    Expectation::reads(
        "7",
        "there is no operator in",
        &[get("accounts?$select=name&$filter=name%20in%20('x')").expect(&[Status(&[400])])],
    ),
    Expectation::reads(
        "7",
        "of several ids those are returned that exist",
        &[get("accounts?$select=name&$filter=Microsoft.Dynamics.CRM.In(PropertyName='accountid',PropertyValues=%5B%22<account>%22,%22<nobody>%22%5D)")
            .expect(&[Status(&[200]), Length("/value", 1), Is("/value/0/accountid", "<account>")])],
    ),
    Expectation::reads(
        "5",
        "rows are counted where that is asked for",
        &[get("accounts?$select=name&$top=1&$count=true").expect(&[Status(&[200]), Has("/@odata.count")])],
    ),
    Expectation::reads(
        "6",
        "a lookup is read by its value column only",
        &[
            get("accounts?$select=_primarycontactid_value&$top=1").expect(&[Status(&[200])]),
            get("accounts?$select=primarycontactid&$top=1").expect(&[Status(&[400])]),
        ],
    ),
    Expectation::reads(
        "6",
        "labels come along where they are asked for",
        &[get("accounts?$select=statecode&$top=1")
            .headers(&[("Prefer", "odata.include-annotations=\"OData.Community.Display.V1.FormattedValue\"")])
            .expect(&[
                Status(&[200]),
                Has("/value/0/statecode"),
                Has("/value/0/statecode@OData.Community.Display.V1.FormattedValue"),
            ])],
    ),
    Expectation::reads(
        "5",
        "annotations are asked for on each page",
        &[
            get("accounts?$select=statecode")
                .headers(&[("Prefer", "odata.maxpagesize=1,odata.include-annotations=\"OData.Community.Display.V1.FormattedValue\"")])
                .expect(&[Status(&[200]), Has("/value/0/statecode@OData.Community.Display.V1.FormattedValue")])
                .keep(&[("page without labels", At("/@odata.nextLink"))]),
            get("<page without labels>")
                .headers(&[("Prefer", "odata.maxpagesize=1")])
                .expect(&[
                    Status(&[200]),
                    Has("/value/0/statecode"),
                    Lacks("/value/0/statecode@OData.Community.Display.V1.FormattedValue"),
                ]),
        ],
    ),
    Expectation::reads(
        "1",
        "an address of more than 32,768 characters is refused",
        &[get("accounts?$select=name&$filter=name%20eq%20'<33,000 letters>'").expect(&[Status(&[400, 404, 413, 414])])],
    ),
    Expectation::reads(
        "12",
        "the metadata is XML, and nothing else",
        &[get("$metadata").expect(&[Status(&[400, 406, 415])])],
    ),
    Expectation::reads(
        "9",
        "what did not change is not sent again",
        &[
            get("accounts(<account>)?$select=name").expect(&[Status(&[200])]).keep(&[("version read", At("/@odata.etag"))]),
            get("accounts(<account>)?$select=name")
                .headers(&[("If-None-Match", "<version read>")])
                .expect(&[Status(&[304])]),
        ],
    ),
    Expectation::reads(
        "8",
        "changes are not tracked through a filter",
        &[get("accounts?$select=name&$filter=statecode%20eq%200")
            .headers(&[("Prefer", "odata.track-changes")])
            .expect(&[Status(&[400])])],
    ),
    Expectation::reads(
        "11",
        "a batch answers in the order of its requests",
        &[ask("POST", "$batch").headers(&[MIXED]).body(TWO_READS).expect(&[
            Status(&[200]),
            Header("Content-Type", "multipart/mixed; boundary=batchresponse_"),
            Times("HTTP/1.1 200", 2),
        ])],
    ),
    Expectation::reads(
        "11",
        "a batch stops at its first failure, whose status it has",
        &[ask("POST", "$batch")
            .headers(&[MIXED])
            .body(FAILING)
            .expect(&[Status(&[404]), Times("HTTP/1.1 ", 1), Times("HTTP/1.1 404", 1)])],
    ),
    Expectation::reads(
        "11",
        "a batch goes on after a failure where it is told to",
        &[ask("POST", "$batch")
            .headers(&[MIXED, ("Prefer", "odata.continue-on-error")])
            .body(FAILING)
            .expect(&[Status(&[200]), Times("HTTP/1.1 404", 1), Times("HTTP/1.1 200", 1)])],
    ),
    Expectation::reads(
        "11",
        "a batch has at most 1,000 operations",
        &[ask("POST", "$batch")
            .headers(&[MIXED])
            .body("<1,001 reads>--batch_conform--\n")
            .expect(&[Status(&[400, 413])])],
    ),
    Expectation::reads(
        "11",
        "a batch is multipart and no JSON",
        &[send("POST", "$batch", r#"{"requests":[]}"#).expect(&[Status(&[400, 415])])],
    ),
    Expectation::reads(
        "11",
        "the lines of a batch end with CRLF",
        &[ask("POST", "$batch")
            // The quoted boundary leaves the line ends as they are written here.
            .headers(&[("Content-Type", "multipart/mixed; boundary=\"batch_conform\"")])
            .body(TWO_READS)
            .expect(&[Status(&[400]), Times("0x80048d19", 1)])],
    ),
    Expectation::writes(
        "9",
        "a new record keeps the id that it comes with, and only that is answered",
        &[
            send("POST", "accounts", r#"{"accountid":"<own>","name":"<mark>"}"#)
                .makes("accounts(<own>)")
                .expect(&[Status(&[204]), Header("OData-EntityId", "accounts(<own>)"), Empty]),
            get("accounts(<own>)?$select=name")
                .expect(&[Status(&[200]), Is("/name", "<mark>")])
                .keep(&[("own account", At("/accountid")), ("version", At("/@odata.etag"))]),
        ],
    ),
    Expectation::writes(
        "9",
        "an id that is taken is refused",
        &[send("POST", "accounts", r#"{"accountid":"<own account>","name":"<mark>"}"#)
            .expect(&[Status(&[412]), Code(&["0x80040237"])])],
    ),
    Expectation::writes(
        "9",
        "a change is answered with the record where that is asked for",
        &[ask("PATCH", "accounts(<own account>)?$select=telephone1")
            .headers(&[JSON, ("If-Match", "<version>"), ("Prefer", "return=representation")])
            .body(r#"{"telephone1":"1"}"#)
            .expect(&[
                Status(&[200]),
                Header("Preference-Applied", "return=representation"),
                Is("/telephone1", "1"),
                Differs("/@odata.etag", "<version>"),
            ])],
    ),
    Expectation::writes(
        "9",
        "a change of an old version is refused",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "<version>")])
            .body(r#"{"telephone1":"2"}"#)
            .expect(&[Status(&[412]), Code(&["0x80060882"])])],
    ),
    Expectation::writes(
        "3",
        "a body that does not say what it is is refused",
        &[ask("PATCH", OWN)
            .headers(&[("If-Match", "*")])
            .body(r#"{"telephone1":"2"}"#)
            .expect(&[Status(&[400, 415])])],
    ),
    Expectation::writes(
        "9",
        "a new record does not begin in a state of its maker's choice",
        &[
            send("POST", "accounts", r#"{"accountid":"<inactive>","name":"<mark>","statecode":1}"#)
                .makes("accounts(<inactive>)")
                .expect(&[Status(&[204])]),
            get("accounts(<inactive>)?$select=statecode").expect(&[Status(&[200]), Is("/statecode", "0")]),
        ],
    ),
    Expectation::writes(
        "9",
        "a status of another state than the first is refused of a new record",
        &[send("POST", "accounts", r#"{"accountid":"<nobody>","name":"<mark>","statecode":1,"statuscode":2}"#)
            .makes("accounts(<nobody>)")
            .expect(&[Status(&[400]), Code(&["0x80048408"])])],
    ),
    Expectation::writes(
        "11",
        "a change set makes a record and brings it into another state",
        &[
            ask("POST", "$batch")
                .headers(&[MIXED])
                .body(MADE_INACTIVE)
                .makes("accounts(<staged>)")
                .expect(&[Status(&[200]), Times("HTTP/1.1 204", 2)]),
            get("accounts(<staged>)?$select=statecode,statuscode")
                .expect(&[Status(&[200]), Is("/statecode", "1"), Is("/statuscode", "2")]),
        ],
    ),
    Expectation::writes(
        "11",
        "a change set that cannot bring a record into a state does not make it",
        &[
            ask("POST", "$batch")
                .headers(&[MIXED, ("Prefer", "odata.continue-on-error")])
                .body(NOT_MADE)
                .makes("accounts(<nobody>)")
                .expect(&[Status(&[200]), Times("HTTP/1.1 400", 1), Times("HTTP/1.1 204", 0)]),
            get("accounts(<nobody>)?$select=name").expect(&[Status(&[404])]),
        ],
    ),
    Expectation::writes(
        "9",
        "a lookup is not written by its value column",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"_primarycontactid_value":null}"#)
            .expect(&[Status(&[400])])],
    ),
    Expectation::writes(
        "16",
        "a price list has a currency",
        &[send("POST", "pricelevels", r#"{"pricelevelid":"<nobody>","name":"<mark>"}"#)
            .makes("pricelevels(<nobody>)")
            .expect(&[Status(&[400])])],
    ),
    Expectation::writes(
        "9",
        "a change on condition that the record exists makes none",
        &[ask("PATCH", "accounts(<nobody>)").makes("accounts(<nobody>)")
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"telephone1":"2"}"#)
            .expect(&[Status(&[404])])],
    ),
    Expectation::writes(
        "9",
        "a change on condition that there is none leaves the record alone",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-None-Match", "*")])
            .body(r#"{"telephone1":"2"}"#)
            .expect(&[Status(&[412])])],
    ),
    Expectation::writes(
        "9",
        "a change without condition makes the record that was not there",
        &[
            send("PATCH", "accounts(<second own>)", r#"{"name":"<mark>"}"#)
                .makes("accounts(<second own>)")
                .expect(&[Status(&[204])]),
            get("accounts(<second own>)?$select=name").expect(&[Status(&[200]), Is("/name", "<mark>")]),
        ],
    ),
    Expectation::writes(
        "1",
        "a property that a table does not have is refused in a body",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"nonesuch":"x"}"#)
            .expect(&[Status(&[400]), Contains("/error/message", "'nonesuch'")])],
    ),
    Expectation::writes(
        "4",
        "a text that is too long is refused by its code",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"name":"<long>"}"#)
            .expect(&[Status(&[400]), Code(&["0x80044331"])])],
    ),
    Expectation::writes(
        "4",
        "what is no option of a choice is refused by its code",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"customertypecode":987654}"#)
            .expect(&[Status(&[400]), Code(&["0x8004431a"])])],
    ),
    Expectation::writes(
        "6",
        "a decimal in quotes is refused",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"creditlimit":"12.5"}"#)
            .expect(&[Status(&[400])])],
    ),
    Expectation::writes(
        "6",
        "an empty text is kept as null",
        &[
            ask("PATCH", OWN)
                .headers(&[JSON, ("If-Match", "*")])
                .body(r#"{"telephone1":""}"#)
                .expect(&[Status(&[204])]),
            get("accounts(<own account>)?$select=telephone1").expect(&[Status(&[200]), Null("/telephone1")]),
        ],
    ),
    Expectation::writes(
        "9",
        "a single property is set and cleared by its address",
        &[
            send("PUT", "accounts(<own account>)/telephone1", r#"{"value":"3"}"#).expect(&[Status(&[204])]),
            get("accounts(<own account>)?$select=telephone1").expect(&[Is("/telephone1", "3")]),
            ask("DELETE", "accounts(<own account>)/telephone1").expect(&[Status(&[204])]),
            get("accounts(<own account>)?$select=telephone1").expect(&[Null("/telephone1")]),
        ],
    ),
    Expectation::writes(
        "9",
        "a lookup to a record that nobody has is refused",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"primarycontactid@odata.bind":"/contacts(<nobody>)"}"#)
            .expect(&[Status(&[404]), Code(&["0x80040217"])])],
    ),
    Expectation::writes(
        "11",
        "a change set that fails is undone as a whole",
        &[
            ask("POST", "$batch")
                .headers(&[MIXED, ("Prefer", "odata.continue-on-error")])
                .body(UNDONE).makes("accounts(<nobody>)")
                .expect(&[Status(&[200]), Times("HTTP/1.1 404", 1)]),
            get("accounts(<own account>)?$select=telephone1").expect(&[Status(&[200]), Differs("/telephone1", "Undone")]),
        ],
    ),
    Expectation::writes(
        "11",
        "a content id stands once in a batch",
        &[
            ask("POST", "$batch").headers(&[MIXED]).body(ONE_ID_TWICE).expect(&[Status(&[400])]),
            get("accounts(<own account>)?$select=telephone1").expect(&[Status(&[200]), Differs("/telephone1", "Twice")]),
        ],
    ),
    Expectation::writes(
        "13",
        "a bulk change of what nobody has is told by its code",
        &[bulk(UPDATE, UNKNOWN_CHANGED).makes("accounts(<nobody>)").expect(&[Status(&[400, 404]), Code(&["0x80040217"])])],
    ),
    Expectation::writes(
        "13",
        "a bulk message makes records under the ids that they come with, and tells these in their order",
        &[
            bulk(CREATE, TWO_NEW).makes("accounts(<third own>)").expect(&[
                Status(&[200]),
                Contains("/@odata.context", "CreateMultipleResponse"),
                Length("/Ids", 2),
                Is("/Ids/0", "<third own>"),
                Is("/Ids/1", "<fourth own>"),
            ]),
            get("accounts(<fourth own>)?$select=name")
                .makes("accounts(<fourth own>)")
                .expect(&[Status(&[200]), Is("/name", "<mark>")])
                .keep(&[("made by a bulk message", At("/accountid"))]),
        ],
    ),
    Expectation::writes(
        "13",
        "a bulk message in which one record is refused makes none",
        &[
            bulk(CREATE, ONE_TOO_LONG).makes("accounts(<nobody>)").expect(&[Status(&[400])]),
            get("accounts(<nobody>)?$select=name").expect(&[Status(&[404])]),
        ],
    ),
    Expectation::writes(
        "13",
        "a bulk message with one record twice is refused",
        &[bulk(CREATE, TWINS).makes("accounts(<nobody>)").expect(&[Status(&[400, 412])])],
    ),
    Expectation::writes(
        "13",
        "each target of a bulk message has to say what it is",
        &[bulk(CREATE, UNTYPED).makes("accounts(<nobody>)").expect(&[Status(&[400])])],
    ),
    Expectation::writes(
        "13",
        "a bulk change names its records by their ids, and is answered with nothing",
        &[
            bulk(UPDATE, TWO_CHANGED).expect(&[Status(&[204]), Empty]),
            get("accounts(<made by a bulk message>)?$select=telephone1").expect(&[Is("/telephone1", "5")]),
        ],
    ),
    Expectation::writes(
        "9",
        "a deletion of an old version is refused",
        &[
            ask("DELETE", OWN).headers(&[("If-Match", "<version>")]).expect(&[Status(&[412]), Code(&["0x80060882"])]),
            get("accounts(<own account>)?$select=name").expect(&[Status(&[200])]),
        ],
    ),
    Expectation::writes(
        "9",
        "a deleted record is gone",
        &[
            ask("DELETE", OWN).expect(&[Status(&[204])]),
            get("accounts(<own account>)?$select=name").expect(&[Status(&[404])]),
            ask("DELETE", OWN).expect(&[Status(&[404])]),
        ],
    ),
];
