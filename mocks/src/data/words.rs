//! Invented words to build names from: places with their post code and telephone shapes, trades, people, goods.
//!
//! Places exist; streets, firms and people do not. Telephone numbers carry 555 and mail goes to `.example` domains.

/// Where a party lives, and how post codes and telephone numbers look there.
#[derive(Debug)]
pub struct Place {
    pub country: &'static str,
    pub city: &'static str,
    pub region: &'static str,
    /// `#` stands for a digit, `@` for a letter.
    pub post_code: &'static str,
    pub phone: &'static str,
}

/// What all places of a country share.
#[derive(Debug)]
pub struct Country {
    pub code: &'static str,
    /// The currency that is used there; not every firm trades in it.
    pub currency: &'static str,
    pub forms: &'static [&'static str],
    pub streets: &'static [&'static str],
    /// Whether the house number stands before the street.
    pub number_first: bool,
}

#[rustfmt::skip]
pub const COUNTRIES: &[Country] = &[
    Country { code: "GB", currency: "GBP", forms: &["Ltd.", "plc", "& Co. Ltd.", "LLP"], number_first: true,
        streets: &["High Street", "Station Road", "Mill Lane", "Quay Street", "Castle Hill", "Victoria Road"] },
    Country { code: "IE", currency: "EUR", forms: &["Ltd.", "DAC"], number_first: true,
        streets: &["Harbour Road", "Abbey Street", "Bridge Street"] },
    Country { code: "DE", currency: "EUR", forms: &["GmbH", "AG", "GmbH & Co. KG"], number_first: false,
        streets: &["Hafenstraße", "Lindenallee", "Am Mühlbach", "Bahnhofstraße"] },
    Country { code: "FR", currency: "EUR", forms: &["SARL", "S.A.S."], number_first: true,
        streets: &["rue de la Forêt", "avenue du Château", "quai Saint-Éloi"] },
    Country { code: "DK", currency: "DKK", forms: &["ApS", "A/S"], number_first: false,
        streets: &["Søgade", "Kirkevej", "Østerbrovænget"] },
    Country { code: "NO", currency: "NOK", forms: &["AS", "ASA"], number_first: false,
        streets: &["Fjordveien", "Skippergata", "Åsgata"] },
    Country { code: "SE", currency: "SEK", forms: &["AB"], number_first: false,
        streets: &["Sjögatan", "Björkvägen", "Kungsstigen"] },
    Country { code: "PL", currency: "PLN", forms: &["Sp. z o.o.", "S.A."], number_first: false,
        streets: &["ul. Długa", "ul. Leśna", "ul. Młyńska"] },
    Country { code: "CZ", currency: "CZK", forms: &["s.r.o.", "a.s."], number_first: false,
        streets: &["Říční", "Žitná", "Na Příkopě"] },
    Country { code: "US", currency: "USD", forms: &["Inc.", "LLC", "Corp."], number_first: true,
        streets: &["Maple Avenue", "2nd Street", "Lakeshore Drive", "Old Mill Road"] },
    Country { code: "CN", currency: "CNY", forms: &["Co., Ltd."], number_first: true,
        streets: &["Zhongshan Road", "人民路", "Jianguo Road"] },
];

#[rustfmt::skip]
pub const PLACES: &[Place] = &[
    Place { country: "GB", city: "London", region: "", post_code: "EC#A #@@", phone: "+44 20 7555 ####" },
    Place { country: "GB", city: "Cambridge", region: "Cambridgeshire", post_code: "CB# #@@", phone: "01223 555###" },
    Place { country: "GB", city: "Bristol", region: "", post_code: "BS# #@@", phone: "0117 555 0###" },
    Place { country: "GB", city: "Kingston upon Hull", region: "East Riding", post_code: "HU# #@@", phone: "(01482) 555 ###" },
    Place { country: "GB", city: "Llandudno", region: "Conwy", post_code: "LL3# #@@", phone: "+44 (0)1492 555###" },
    Place { country: "GB", city: "Aberdeen", region: "", post_code: "AB1# #@@", phone: "+44 1224 555 ###" },
    Place { country: "GB", city: "Stoke-on-Trent", region: "Staffordshire", post_code: "ST# #@@", phone: "01782 555-###" },
    Place { country: "GB", city: "St. Ives", region: "Cornwall", post_code: "TR26 #@@", phone: "01736 555###" },
    Place { country: "IE", city: "Dublin", region: "", post_code: "D0# @###", phone: "(01) 555 0###" },
    Place { country: "IE", city: "Dún Laoghaire", region: "Co. Dublin", post_code: "A96 @###", phone: "+353 1 555 0###" },
    Place { country: "DE", city: "Berlin", region: "", post_code: "10###", phone: "+49 30 555 0####" },
    Place { country: "DE", city: "München", region: "Bayern", post_code: "80###", phone: "089/555 0###" },
    Place { country: "DE", city: "Dürnstein", region: "", post_code: "9437#", phone: "0049-9922-555##" },
    Place { country: "FR", city: "Besançon", region: "Doubs", post_code: "25##0", phone: "03 81 55 50 ##" },
    Place { country: "FR", city: "Lyon", region: "Rhône", post_code: "6900#", phone: "+33 4 78 55 50 ##" },
    Place { country: "DK", city: "Ærøskøbing", region: "", post_code: "59##", phone: "+45 55 50 ## ##" },
    Place { country: "DK", city: "København K", region: "", post_code: "1###", phone: "5550 ####" },
    Place { country: "NO", city: "Ålesund", region: "Møre og Romsdal", post_code: "60##", phone: "+47 55 50 ## ##" },
    Place { country: "NO", city: "Bodø", region: "Nordland", post_code: "80##", phone: "755 50 ###" },
    Place { country: "SE", city: "Luleå", region: "Norrbotten", post_code: "97# ##", phone: "+46 (0)920-555 ##" },
    Place { country: "SE", city: "Malmö", region: "Skåne", post_code: "21# ##", phone: "040-555 ## ##" },
    Place { country: "PL", city: "Łódź", region: "łódzkie", post_code: "9#-###", phone: "+48 42 555 ## ##" },
    Place { country: "PL", city: "Gdańsk", region: "pomorskie", post_code: "80-###", phone: "58 555 ## ##" },
    Place { country: "CZ", city: "Plzeň", region: "", post_code: "30# ##", phone: "+420 377 555 ###" },
    Place { country: "CZ", city: "Český Krumlov", region: "", post_code: "381 ##", phone: "+420 380 555 ###" },
    Place { country: "US", city: "Portland", region: "OR", post_code: "972##", phone: "(503) 555-01##" },
    Place { country: "US", city: "Coeur d'Alene", region: "ID", post_code: "838##", phone: "208-555-01##" },
    Place { country: "US", city: "Winston-Salem", region: "NC", post_code: "271##", phone: "+1 336 555 01##" },
    Place { country: "CN", city: "北京", region: "", post_code: "1000##", phone: "+86 10 5550 ####" },
];

/// The first word of a firm's name.
#[rustfmt::skip]
pub const BRANDS: &[&str] = &[
    "Ahlgren", "Alderway", "Arkwright", "Ashdown", "Bellweather", "Birkholm", "Blackmere", "Brandvold", "Brightwater",
    "Caldmore", "Castleford", "Corbridge", "Dahlberg", "Danforth", "Dovecote", "Eastbrook", "Ekström", "Elmhurst",
    "Fairhaven", "Fjellheim", "Foxglove", "Garrick", "Gisborne", "Grünwald", "Hallström", "Harrowgate", "Hexham",
    "Holloway", "Inglenook", "Ironbridge", "Jarnbek", "Juniper", "Kestrel", "Kingsmead", "Kowalik", "Langdale",
    "Larkfield", "Lindqvist", "Marlowe", "Medlar", "Merriton", "Nordhavn", "Northgate", "Novák", "Oakenshaw",
    "Örnsköld", "Pemberley", "Pennine", "Quarrier", "Quillon", "Ravensworth", "Rosendal", "Saltmarsh", "Silverbeck",
    "Stonehaven", "Tamarind", "Thornbury", "Tyndale", "Underhill", "Valmont", "Vestergaard", "Wexcombe", "Whitlock",
    "Yarrow", "Zeller",
];

/// What a firm does: the rest of its name.
#[rustfmt::skip]
pub const TRADES: &[&str] = &[
    "Bakeries", "Bicycles", "Bookbinders", "Brewing", "Carpentry", "Ceramics", "Clockworks", "Dairy", "Electrical",
    "Fisheries", "Fittings", "Foods", "Forestry", "Foundry", "Furniture", "Glass", "Hotels", "Instruments", "Joinery",
    "Lighting", "Logistics", "Marine", "Nurseries", "Optics", "Packaging", "Paper", "Plastics", "Print", "Roofing",
    "Sailmakers", "Stationers", "Textiles", "Timber", "Toys", "Vineyards", "Wholesale",
];

#[rustfmt::skip]
pub const GIVEN_NAMES: &[&str] = &[
    "Agnes", "Aiko", "Alan", "Amélie", "Anders", "Anna Maria", "Astrid", "Bartosz", "Beatrice", "Benedikt", "Bronwen",
    "Carys", "Cécile", "Clara", "Conor", "Daniel", "Dagmar", "Edith", "Eirik", "Elżbieta", "Emil", "Esther", "Fiona",
    "François", "Freya", "Gareth", "Greta", "Hannah", "Håkon", "Helena", "Hugo", "Ida", "Imogen", "Ivan", "Jana",
    "Jean-Luc", "Jonas", "Katarzyna", "Kenji", "Klara", "Lars Erik", "Leila", "Liam", "Lucía", "Magnus", "Małgorzata",
    "Martin", "Mei", "Milan", "Nadia", "Niamh", "Nils", "Olga", "Oliver", "Øyvind", "Paula", "Pavel", "Petra", "Rafael",
    "Rhys", "Rosa", "Ruth", "Samir", "Siân", "Søren", "Stella", "Tariq", "Thea", "Tomáš", "Ursula", "Viktor", "Wanda",
    "William", "Xenia", "Yusuf", "Zofia",
];

#[rustfmt::skip]
pub const FAMILY_NAMES: &[&str] = &[
    "Abernathy", "Ainsley", "Almeida", "Andersson", "Aziz", "Baumann", "Beaumont", "Bennett", "Berg", "Bielak",
    "Blanchet", "Bergström", "Callaghan", "Carver", "Černý", "Chen", "Cooper", "D'Arcy", "Dahl", "Delacroix",
    "Dvořák", "Eriksen", "Evans", "Falk", "Farrell", "Fontaine", "Fournier", "Gallagher", "Graf", "Grant",
    "Gustafsson", "Haddad", "Hansen", "Hartmann", "Hughes", "Ibrahim", "Ito", "Jankowski", "Jensen", "Johansen",
    "Kaminski", "Keller", "Khan", "Kučera", "Larsen", "Legoff", "Lindgren", "Llewellyn", "Lund", "MacLeod", "Marchetti",
    "Møller", "Moreau", "Nakamura", "Neumann", "Nowak", "O'Brien", "O'Neill", "Okafor", "Olsen", "Owens", "Pearce",
    "Petit", "Pospíšil", "Price", "Quinn", "Rasmussen", "Richter", "Roberts", "Rossi", "Sørli", "Sato", "Schäfer",
    "Singh", "Smythe-Jones", "Svoboda", "Tanaka", "Thorne", "Ueland", "Vandenberg", "Varga", "Vogel", "Walsh", "Weiß",
    "Wiśniewska", "Wright", "Yildiz", "Young", "Zhang", "Žižka",
];

pub const JOB_TITLES: &[&str] = &[
    "Purchasing Manager",
    "Buyer",
    "Managing Director",
    "Accounts Payable",
    "Warehouse Supervisor",
    "Office Manager",
    "Head of Logistics",
    "Technical Director",
    "Receptionist",
    "",
];

#[rustfmt::skip]
pub const MATERIALS: &[&str] = &[
    "Beech", "Oak", "Ash", "Walnut", "Birch", "Cherry", "Steel", "Brass", "Copper", "Aluminium", "Glass", "Leather",
    "Linen", "Wool", "Cotton", "Rattan", "Granite", "Slate", "Felt", "Cork",
];

#[rustfmt::skip]
pub const GOODS: &[&str] = &[
    "Desk", "Chair", "Stool", "Bench", "Shelf", "Cabinet", "Lamp", "Drawer", "Table", "Wardrobe", "Coat Rack",
    "Side Board", "Screen", "Door", "Frame", "Clock", "Tray", "Basket", "Cushion", "Curtain",
];

/// Folds a name to what a mail address or a domain may hold: small Latin letters and digits.
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' | '0'..='9' => folded.push(letter),
            'á' | 'à' | 'â' | 'å' | 'ą' | 'ã' => folded.push('a'),
            'ä' | 'æ' => folded.push_str("ae"),
            'ç' | 'č' | 'ć' => folded.push('c'),
            'é' | 'è' | 'ê' | 'ě' | 'ę' => folded.push('e'),
            'í' | 'î' | 'ï' => folded.push('i'),
            'ł' => folded.push('l'),
            'ň' | 'ń' => folded.push('n'),
            'ó' | 'ô' => folded.push('o'),
            'ö' | 'ø' => folded.push_str("oe"),
            'ř' => folded.push('r'),
            'š' | 'ś' => folded.push('s'),
            'ß' => folded.push_str("ss"),
            'ť' => folded.push('t'),
            'ú' | 'ů' | 'û' => folded.push('u'),
            'ü' => folded.push_str("ue"),
            'ý' => folded.push('y'),
            'ž' | 'ź' | 'ż' => folded.push('z'),
            ' ' | '-' if !folded.is_empty() && !folded.ends_with('-') => folded.push('-'),
            _ => {}
        }
    }
    folded.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn a_name_folds_to_a_domain() {
        for (name, folded) in [
            ("Møller & Søn", "moeller-soen"),
            ("Łódź 100% Textile", "lodz-100-textile"),
            ("北京", ""),
            ("O'Brien", "obrien"),
        ] {
            assert_eq!(fold(name), folded);
        }
    }
}
