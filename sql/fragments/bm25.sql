p.frequency * ($24::float8 + 1) / (p.frequency + $24::float8 * (1 - $25::float8 + $25::float8 * p.length / $22::float8))
