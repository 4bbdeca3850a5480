//! Words in capitals: which are read as words, which by their letters.

/// Short words that are written in capitals for emphasis, and short acronyms that are words.
pub fn is_short_word(word: &str) -> bool {
    [
        "AH", "AN", "AS", "AT", "BE", "BY", "DO", "GO", "HA", "HE", "HI", "IF", "IN", "IS", "ME",
        "MY", "NO", "OF", "OH", "OK", "ON", "OR", "SO", "TO", "UP", "WE", "ACT", "ADD", "AGO",
        "AIR", "ALL", "AND", "ANY", "ARE", "ART", "ASK", "BAD", "BAN", "BED", "BIG", "BIT", "BOX",
        "BUS", "BUT", "BUY", "CAN", "CAR", "CAT", "CUP", "CUT", "DAD", "DAY", "DID", "DOG", "DON",
        "EAT", "END", "EVE", "EYE", "FAR", "FEW", "FIX", "FLY", "FOR", "FUN", "GAN", "GAS", "GET",
        "GIF", "GOD", "GOT", "GUN", "HAD", "HAS", "HER", "HEY", "HIM", "HIS", "HIT", "HOT", "HOW",
        "HUB", "ILL", "ITS", "JOB", "JOY", "KEY", "KID", "LAB", "LAN", "LAW", "LET", "LOT", "LOW",
        "MAN", "MAP", "MAX", "MAY", "MEN", "MIN", "MIX", "MOM", "MUM", "NET", "NEW", "NON", "NOR",
        "NOT", "NOW", "ODD", "OFF", "OIL", "OLD", "ONE", "OUR", "OUT", "OWN", "PAY", "PER", "PET",
        "PIN", "POP", "PUT", "RAG", "RAM", "RAN", "RAW", "RED", "ROM", "RUN", "SAD", "SAW", "SAY",
        "SEA", "SEE", "SET", "SEX", "SHE", "SIM", "SIT", "SIX", "SKY", "SON", "SUN", "TAX", "TEA",
        "TEN", "THE", "TIP", "TOO", "TOP", "TRY", "TWO", "UGH", "USE", "VAN", "VAT", "VIA", "WAN",
        "WAR", "WAS", "WAY", "WEB", "WET", "WHY", "WIN", "WON", "WOW", "YES", "YET", "YOU", "ZIP",
    ]
    .contains(&word)
}

/// Words that are also acronyms of two or three letters: words only among words in capitals.
pub fn is_also_word(word: &str) -> bool {
    ["IT", "US", "AM", "WHO", "ICE", "AID", "SAT", "LED", "ERA", "ALS"].contains(&word)
}

/// Acronyms of three letters that look like words, and are not even among words in capitals.
pub fn is_short_acronym(word: &str) -> bool {
    [
        "API", "ATM", "CEO", "CFO", "CIA", "COO", "CTO", "DIY", "DOJ", "EPA", "ETA", "FAQ", "FDA",
        "GOP", "GPA", "GPU", "HIV", "IBM", "IDE", "INC", "IPO", "IRA", "ISO", "IUD", "NBA", "NES",
        "NFL", "NIH", "PDF", "POS", "ROI", "SUV", "TED", "UAE", "UFO", "UPS", "URL", "USA", "USB",
        "VIP", "CPU", "DNA", "RNA", "CPI", "GDP", "UFC", "LAX", "EUR", "USD",
    ]
    .contains(&word)
}

/// Longer acronyms that could be pronounced but are spelled.
pub fn is_long_acronym(word: &str) -> bool {
    [
        "AARP", "ASAP", "CAGR", "EFTA", "HDMI", "ICAO", "LGBTQ", "NAACP", "OECD", "UCLA", "UEFI",
        "USAF", "USDA", "USMC", "USSR", "WIPO",
    ]
    .contains(&word)
}

/// Longer acronyms that are words though their letters do not look it.
pub fn is_long_word(word: &str) -> bool {
    [
        "NVIDIA", "JSON", "YAML", "TOML", "CMOS", "EPUB", "GNOME", "GNU", "CRISPR", "IPSEC",
        "JPEG", "MPEG", "HVAC", "IKEA", "TSHIRT", "HMMM", "HMM", "SHHH",
    ]
    .contains(&word)
}

/// Words of mixed letters whose capitals are spelled.
pub fn mixed(word: &str) -> Option<&'static str> {
    Some(match word {
        "iOS" => "I O S",
        "iPadOS" => "iPad O S",
        "macOS" => "mac O S",
        "watchOS" => "watch O S",
        "PhD" => "P H D",
        "PhDs" => "P H Ds",
        "MySQL" | "MYSQL" => "My S Q L",
        "NoSQL" => "No S Q L",
        "SQLite" => "S Q Lite",
        "PostgreSQL" => "Postgres Q L",
        "OpenAI" => "Open A I",
        "xAI" => "x A I",
        "ChatGPT" | "CHATGPT" => "Chat G P T",
        "IoT" => "I O T",
        "OAuth" => "O Auth",
        "HbA" => "H B A",
        "mRNA" => "M R N A",
        "GraphQL" => "Graph Q L",
        "DevOps" => "Dev Ops",
        "VSCode" => "V S Code",
        "WiFi" => "Wi-Fi",
        "LaTeX" => "La Tech",
        "NVMe" => "N V M E",
        "pH" => "P H",
        "WWI" => "World War one",
        "WWII" => "World War two",
        "UIs" => "U Is",
        _ => return None,
    })
}

/// Names of letters that are also written small.
pub fn is_small_acronym(word: &str) -> bool {
    [
        "html", "css", "http", "https", "sql", "xml", "php", "url", "urls", "pdf", "pdfs", "api",
        "apis", "usb", "gpu", "gpus", "cpu", "cpus", "dns", "ssh", "vpn", "dvd", "npm", "csv",
        "svg", "png", "jpg", "tv", "tvs", "pc", "pcs", "llm", "llms", "sdk", "tls", "ssl", "tcp",
        "udp", "ftp", "diy", "faq", "faqs", "btw", "fyi", "omg", "lgbt", "gdp", "dna", "ceo",
        "cli", "gui",
    ]
    .contains(&word)
}

fn is_vowel(c: u8) -> bool {
    matches!(c, b'A' | b'E' | b'I' | b'O' | b'U' | b'Y')
}

/// Whether a word in capitals could be an English word: its consonants come in groups that
/// English has. Words of seven letters or more with a vowel are, since acronyms are shorter.
pub fn is_pronounceable(word: &str) -> bool {
    let bytes = word.as_bytes();
    let vowels = bytes.iter().filter(|c| is_vowel(**c)).count();
    if vowels == 0 || bytes.len() < 2 {
        return false;
    }
    if bytes.len() >= 7 {
        return true;
    }
    let mut at = 0;
    while at < bytes.len() {
        let vowel = is_vowel(bytes[at]);
        let run = bytes[at..].iter().take_while(|c| is_vowel(**c) == vowel).count();
        let group = word.get(at..at + run).unwrap_or_default();
        let fits = match (vowel, at == 0, at + run == bytes.len()) {
            (true, ..) => run <= 2 || group == "EAU" || group == "IOU",
            (false, true, _) => run == 1 || begins_words(group),
            (false, _, true) => run == 1 || ends_words(group),
            (false, false, false) => run <= 3,
        };
        if !fits {
            return false;
        }
        at += run;
    }
    true
}

/// Groups of consonants that English words begin with.
fn begins_words(group: &str) -> bool {
    [
        "BL", "BR", "CH", "CL", "CR", "DR", "DW", "FL", "FR", "GH", "GL", "GN", "GR", "KN", "PH",
        "PL", "PR", "PS", "RH", "SC", "SH", "SK", "SL", "SM", "SN", "SP", "SQ", "ST", "SW", "TH",
        "TR", "TW", "WH", "WR", "SCH", "SCR", "SHR", "SPL", "SPR", "STR", "THR", "CHR",
    ]
    .contains(&group)
}

/// Groups of consonants that English words end with.
fn ends_words(group: &str) -> bool {
    [
        "BS", "BT", "CH", "CK", "CKS", "CS", "CT", "CTS", "DS", "FF", "FT", "FTS", "GH", "GHT",
        "GS", "KS", "LD", "LDS", "LF", "LK", "LL", "LLS", "LM", "LP", "LPS", "LS", "LT", "LTS",
        "MB", "MP", "MPS", "MS", "NCH", "ND", "NDS", "NG", "NGS", "NK", "NKS", "NS", "NT", "NTH",
        "NTS", "PH", "PS", "PT", "RB", "RC", "RCH", "RD", "RDS", "RF", "RG", "RK", "RKS", "RL",
        "RLD", "RM", "RMS", "RN", "RNS", "RP", "RS", "RST", "RT", "RTH", "RTS", "RVS", "SH", "SK",
        "SP", "SS", "ST", "STS", "TCH", "TH", "THS", "TS", "TT", "WL", "WN", "WS", "XT", "ZZ",
    ]
    .contains(&group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_consonants_tell_words() {
        for word in ["NASA", "NATO", "LASER", "STOP", "NEVER", "COVID", "FREE", "WORLD", "LIGHT"] {
            assert!(is_pronounceable(word), "{word}");
        }
        for word in ["HTTP", "SQL", "HTML", "FBI", "ESPN", "NCAA", "IMDB", "ISBN", "IEEE"] {
            assert!(!is_pronounceable(word), "{word}");
        }
    }
}
