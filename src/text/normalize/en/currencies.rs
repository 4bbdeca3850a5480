//! Names of currencies.

/// A currency's names, and those of its hundredth part, for one and for several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    pub one: &'static str,
    pub many: &'static str,
    pub cent: Option<(&'static str, &'static str)>,
}

const CENTS: Option<(&str, &str)> = Some(("cent", "cents"));

const fn currency(
    one: &'static str,
    many: &'static str,
    cent: Option<(&'static str, &'static str)>,
) -> Option<Currency> {
    Some(Currency { one, many, cent })
}

/// The currency of a sign.
pub fn of_sign(sign: char) -> Option<Currency> {
    match sign {
        '$' => currency("dollar", "dollars", CENTS),
        '€' => currency("euro", "euros", CENTS),
        '£' => currency("pound", "pounds", Some(("penny", "pence"))),
        '¥' | '￥' => currency("yen", "yen", None),
        '₹' => currency("rupee", "rupees", Some(("paisa", "paise"))),
        '₩' => currency("won", "won", None),
        '₽' => currency("ruble", "rubles", Some(("kopeck", "kopecks"))),
        '₿' => currency("bitcoin", "bitcoins", None),
        '₫' => currency("dong", "dong", None),
        '₺' => currency("lira", "lira", None),
        '₴' => currency("hryvnia", "hryvnias", None),
        '₪' => currency("shekel", "shekels", None),
        '฿' => currency("baht", "baht", None),
        '₱' => currency("peso", "pesos", None),
        '¢' | '￠' => currency("cent", "cents", None),
        _ => None,
    }
}

/// The currency of letters before a dollar or yen sign, as in `US$5`.
pub fn of_prefix(letters: &str, sign: char) -> Option<Currency> {
    match (letters, sign) {
        ("US", '$') => of_code("USD"),
        ("A" | "AU", '$') => of_code("AUD"),
        ("C" | "CA", '$') => of_code("CAD"),
        ("HK", '$') => of_code("HKD"),
        ("NZ", '$') => of_code("NZD"),
        ("S", '$') => of_code("SGD"),
        ("NT", '$') => of_code("TWD"),
        ("R", '$') => of_code("BRL"),
        ("CN" | "RMB", '¥') => of_code("CNY"),
        ("JP", '¥') => of_code("JPY"),
        _ => None,
    }
}

/// The currency of a code, before or behind an amount.
pub fn of_code(code: &str) -> Option<Currency> {
    match code {
        "USD" => currency("U S dollar", "U S dollars", CENTS),
        "EUR" => currency("euro", "euros", CENTS),
        "GBP" => currency("pound", "pounds", Some(("penny", "pence"))),
        "JPY" => currency("yen", "yen", None),
        "CNY" | "RMB" => currency("yuan", "yuan", None),
        "HKD" => currency("Hong Kong dollar", "Hong Kong dollars", CENTS),
        "TWD" | "NTD" => currency("Taiwan dollar", "Taiwan dollars", CENTS),
        "SGD" => currency("Singapore dollar", "Singapore dollars", CENTS),
        "AUD" => currency("Australian dollar", "Australian dollars", CENTS),
        "CAD" => currency("Canadian dollar", "Canadian dollars", CENTS),
        "NZD" => currency("New Zealand dollar", "New Zealand dollars", CENTS),
        "CHF" => currency("Swiss franc", "Swiss francs", None),
        "INR" | "Rs" => of_sign('₹'),
        "KRW" => of_sign('₩'),
        "RUB" => of_sign('₽'),
        "BRL" => currency("real", "reais", None),
        "MXN" => currency("Mexican peso", "Mexican pesos", None),
        "SEK" => currency("Swedish krona", "Swedish kronor", None),
        "NOK" => currency("Norwegian krone", "Norwegian kroner", None),
        "DKK" => currency("Danish krone", "Danish kroner", None),
        "PLN" => currency("zloty", "zlotys", None),
        "ZAR" => currency("rand", "rand", None),
        "TRY" => currency("lira", "lira", None),
        "THB" => currency("baht", "baht", None),
        "AED" => currency("dirham", "dirhams", None),
        "SAR" => currency("riyal", "riyals", None),
        "ILS" => currency("shekel", "shekels", None),
        "BTC" => currency("bitcoin", "bitcoins", None),
        "ETH" => currency("ether", "ether", None),
        _ => None,
    }
}
