// Runs what n8n's scan of verified nodes does with a package, on this one before it is published. What it asks of the
// registry alone (provenance, the attested source) is left out.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
	analyzePackage,
	SOURCE_FILE_PATTERNS,
} from '@n8n/scan-community-package/scanner/scanner.mjs';

const target = mkdtempSync(path.join(tmpdir(), 'scan-'));
try {
	execFileSync('npm', ['pack', '--silent', '--pack-destination', target], { stdio: 'pipe' });
	execFileSync('sh', ['-c', 'tar -xzf *.tgz --strip-components=1 && rm *.tgz'], { cwd: target });
	const legs = {
		source: [process.cwd(), SOURCE_FILE_PATTERNS],
		package: [target, ['**/*.js', 'package.json']],
	};
	for (const [leg, [directory, patterns]] of Object.entries(legs)) {
		const { passed, message, details } = await analyzePackage(directory, patterns);
		console.log(`${leg}: ${passed ? 'passed' : `failed: ${message}\n${details ?? ''}`}`);
		if (!passed) process.exitCode = 1;
	}
} finally {
	rmSync(target, { recursive: true });
}
