//! Names of units.

/// A unit's name for one and for several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    pub one: &'static str,
    pub many: &'static str,
    /// Whether its symbol is also written with a full stop.
    pub dotted: bool,
}

const fn unit(one: &'static str, many: &'static str) -> Option<Unit> {
    Some(Unit { one, many, dotted: false })
}

const fn dotted(one: &'static str, many: &'static str) -> Option<Unit> {
    Some(Unit { one, many, dotted: true })
}

/// The unit of a symbol behind a number.
pub fn find(symbol: &str) -> Option<Unit> {
    length(symbol)
        .or_else(|| mass_and_volume(symbol))
        .or_else(|| time(symbol))
        .or_else(|| electricity(symbol))
        .or_else(|| computing(symbol))
        .or_else(|| other(symbol))
}

/// Lengths and areas; those of which squares and cubes are written.
pub fn length(symbol: &str) -> Option<Unit> {
    match symbol {
        "km" => unit("kilometer", "kilometers"),
        "m" => unit("meter", "meters"),
        "dm" => unit("decimeter", "decimeters"),
        "cm" => unit("centimeter", "centimeters"),
        "mm" => unit("millimeter", "millimeters"),
        "μm" | "µm" | "um" => unit("micrometer", "micrometers"),
        "nm" => unit("nanometer", "nanometers"),
        "ft" => dotted("foot", "feet"),
        "in" => dotted("inch", "inches"),
        "yd" | "yds" => dotted("yard", "yards"),
        "mi" => dotted("mile", "miles"),
        _ => None,
    }
}

fn mass_and_volume(symbol: &str) -> Option<Unit> {
    match symbol {
        "kg" | "Kg" | "KG" => unit("kilogram", "kilograms"),
        "g" => unit("gram", "grams"),
        "mg" => unit("milligram", "milligrams"),
        "μg" | "µg" | "mcg" | "ug" => unit("microgram", "micrograms"),
        "t" => unit("ton", "tons"),
        "lb" | "lbs" => dotted("pound", "pounds"),
        "oz" => dotted("ounce", "ounces"),
        "L" | "l" => unit("liter", "liters"),
        "mL" | "ml" => unit("milliliter", "milliliters"),
        "cL" | "cl" => unit("centiliter", "centiliters"),
        "dL" | "dl" => unit("deciliter", "deciliters"),
        "gal" => dotted("gallon", "gallons"),
        "qt" => dotted("quart", "quarts"),
        "pt" => dotted("point", "points"),
        "tbsp" => dotted("tablespoon", "tablespoons"),
        "tsp" => dotted("teaspoon", "teaspoons"),
        "mol" => unit("mole", "moles"),
        "mmol" => unit("millimole", "millimoles"),
        _ => None,
    }
}

fn time(symbol: &str) -> Option<Unit> {
    match symbol {
        "s" | "sec" | "secs" => dotted("second", "seconds"),
        "ms" => unit("millisecond", "milliseconds"),
        "μs" | "µs" | "us" => unit("microsecond", "microseconds"),
        "ns" => unit("nanosecond", "nanoseconds"),
        "min" | "mins" => dotted("minute", "minutes"),
        "h" | "hr" | "hrs" => dotted("hour", "hours"),
        "yr" | "yrs" => dotted("year", "years"),
        "wk" | "wks" => dotted("week", "weeks"),
        "mos" => dotted("month", "months"),
        _ => None,
    }
}

fn electricity(symbol: &str) -> Option<Unit> {
    match symbol {
        "V" => unit("volt", "volts"),
        "mV" => unit("millivolt", "millivolts"),
        "kV" => unit("kilovolt", "kilovolts"),
        "W" => unit("watt", "watts"),
        "mW" => unit("milliwatt", "milliwatts"),
        "kW" => unit("kilowatt", "kilowatts"),
        "MW" => unit("megawatt", "megawatts"),
        "GW" => unit("gigawatt", "gigawatts"),
        "TW" => unit("terawatt", "terawatts"),
        "Wh" => unit("watt hour", "watt hours"),
        "kWh" | "KWh" => unit("kilowatt hour", "kilowatt hours"),
        "MWh" => unit("megawatt hour", "megawatt hours"),
        "GWh" => unit("gigawatt hour", "gigawatt hours"),
        "TWh" => unit("terawatt hour", "terawatt hours"),
        "amp" => unit("amp", "amps"),
        "mA" => unit("milliamp", "milliamps"),
        "mAh" => unit("milliamp hour", "milliamp hours"),
        "Ah" => unit("amp hour", "amp hours"),
        "Ω" | "\u{2126}" => unit("ohm", "ohms"),
        "kΩ" => unit("kilohm", "kilohms"),
        "MΩ" => unit("megohm", "megohms"),
        "μF" | "µF" => unit("microfarad", "microfarads"),
        _ => None,
    }
}

fn computing(symbol: &str) -> Option<Unit> {
    match symbol {
        "kB" | "KB" => unit("kilobyte", "kilobytes"),
        "MB" => unit("megabyte", "megabytes"),
        "GB" => unit("gigabyte", "gigabytes"),
        "TB" => unit("terabyte", "terabytes"),
        "PB" => unit("petabyte", "petabytes"),
        "EB" => unit("exabyte", "exabytes"),
        "KiB" => unit("kibibyte", "kibibytes"),
        "MiB" => unit("mebibyte", "mebibytes"),
        "GiB" => unit("gibibyte", "gibibytes"),
        "TiB" => unit("tebibyte", "tebibytes"),
        "bps" => unit("basis point", "basis points"),
        "ppg" => unit("point per game", "points per game"),
        "kbps" | "Kbps" => unit("kilobit per second", "kilobits per second"),
        "Mbps" | "mbps" => unit("megabit per second", "megabits per second"),
        "Gbps" | "gbps" => unit("gigabit per second", "gigabits per second"),
        "Tbps" => unit("terabit per second", "terabits per second"),
        "kbit" => unit("kilobit", "kilobits"),
        "Mbit" | "Mb" => unit("megabit", "megabits"),
        "Gbit" | "Gb" => unit("gigabit", "gigabits"),
        "MBps" => unit("megabyte per second", "megabytes per second"),
        "px" => unit("pixel", "pixels"),
        "MP" => unit("megapixel", "megapixels"),
        "dpi" => unit("dot per inch", "dots per inch"),
        "ppi" => unit("pixel per inch", "pixels per inch"),
        "fps" | "FPS" => unit("frame per second", "frames per second"),
        _ => None,
    }
}

fn other(symbol: &str) -> Option<Unit> {
    match symbol {
        "°C" | "℃" | "ºC" => unit("degree Celsius", "degrees Celsius"),
        "°F" | "℉" | "ºF" => unit("degree Fahrenheit", "degrees Fahrenheit"),
        "°K" | "K" => unit("kelvin", "kelvins"),
        "°" | "º" => unit("degree", "degrees"),
        "%" | "％" => unit("percent", "percent"),
        "‰" => unit("per mille", "per mille"),
        "㎡" => unit("square meter", "square meters"),
        "㎥" => unit("cubic meter", "cubic meters"),
        "㎞" => unit("kilometer", "kilometers"),
        "㎝" => unit("centimeter", "centimeters"),
        "㎜" => unit("millimeter", "millimeters"),
        "㎏" => unit("kilogram", "kilograms"),
        "mph" => unit("mile per hour", "miles per hour"),
        "kph" | "kmh" => unit("kilometer per hour", "kilometers per hour"),
        "mpg" => unit("mile per gallon", "miles per gallon"),
        "rpm" | "RPM" => unit("revolution per minute", "revolutions per minute"),
        "bpm" | "BPM" => unit("beat per minute", "beats per minute"),
        "wpm" => unit("word per minute", "words per minute"),
        "kn" => unit("knot", "knots"),
        "ha" => unit("hectare", "hectares"),
        "sqm" => unit("square meter", "square meters"),
        "sqft" => unit("square foot", "square feet"),
        "dB" => unit("decibel", "decibels"),
        "dBm" => unit("decibel-milliwatt", "decibel-milliwatts"),
        "Hz" => unit("hertz", "hertz"),
        "kHz" | "KHz" => unit("kilohertz", "kilohertz"),
        "MHz" => unit("megahertz", "megahertz"),
        "GHz" => unit("gigahertz", "gigahertz"),
        "THz" => unit("terahertz", "terahertz"),
        "N" => unit("newton", "newtons"),
        "kN" => unit("kilonewton", "kilonewtons"),
        "Nm" => unit("newton meter", "newton meters"),
        "Pa" => unit("pascal", "pascals"),
        "hPa" => unit("hectopascal", "hectopascals"),
        "kPa" => unit("kilopascal", "kilopascals"),
        "MPa" => unit("megapascal", "megapascals"),
        "psi" => unit("pound per square inch", "pounds per square inch"),
        "mmHg" => unit("millimeter of mercury", "millimeters of mercury"),
        "atm" => unit("atmosphere", "atmospheres"),
        "J" => unit("joule", "joules"),
        "kJ" => unit("kilojoule", "kilojoules"),
        "MJ" => unit("megajoule", "megajoules"),
        "eV" => unit("electron volt", "electron volts"),
        "keV" => unit("kiloelectron volt", "kiloelectron volts"),
        "MeV" => unit("megaelectron volt", "megaelectron volts"),
        "GeV" => unit("gigaelectron volt", "gigaelectron volts"),
        "cal" => unit("calorie", "calories"),
        "kcal" => unit("kilocalorie", "kilocalories"),
        "hp" => unit("horsepower", "horsepower"),
        "ppm" => unit("part per million", "parts per million"),
        "ppb" => unit("part per billion", "parts per billion"),
        "IU" => unit("international unit", "international units"),
        "lm" => unit("lumen", "lumens"),
        "bn" => unit("billion", "billion"),
        "x" => unit("times", "times"),
        _ => None,
    }
}

/// What a rate is per, behind a slash.
pub fn per(word: &str) -> Option<&'static str> {
    Some(match word {
        "s" | "sec" | "second" => "second",
        "min" | "minute" => "minute",
        "h" | "hr" | "hour" => "hour",
        "d" | "day" => "day",
        "wk" | "week" => "week",
        "mo" | "month" => "month",
        "y" | "yr" | "year" => "year",
        "night" => "night",
        "person" => "person",
        "user" => "user",
        "unit" => "unit",
        "item" => "item",
        "token" => "token",
        "piece" => "piece",
        "share" => "share",
        "seat" => "seat",
        _ => find(word)?.one,
    })
}
