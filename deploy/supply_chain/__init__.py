"""What the images contain: bills of materials, licences, and known vulnerabilities."""
