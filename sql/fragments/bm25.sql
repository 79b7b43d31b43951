p.frequency * ($15::float8 + 1) / (p.frequency + $15::float8 * (1 - $16::float8 + $16::float8 * p.length / $13::float8))
